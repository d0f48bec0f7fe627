#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

struct Mailer;

impl Mailer {
    async fn report(&self, month: &str, invoices: usize) -> Result<()> {
        let _ = (month, invoices);
        Ok(())
    }
}

async fn load_customers(month: &str) -> Result<Vec<String>> {
    Ok(vec![month.to_owned()])
}

#[workflow]
async fn send_invoice(customer: String) -> Result<u32> {
    let _ = customer;
    Ok(1)
}

#[workflow]
async fn invoice_run(mail: State<Mailer>, month: String) -> Result<usize> {
    let customers = step!(load_customers(&month)).await?;

    let invoices = branch!("invoices", {
        spawn_each!("customer", customers, |c| send_invoice(c))
    })
    .await?;

    wait!("settlement", hours(48)).await;

    let sent = merge!(invoices).await?;
    step!(
        "report",
        retry = RetryPolicy::new().max_attempts(5),
        mail.report(&month, sent.len())
    )
    .await?;
    Ok(sent.len())
}

#[test]
fn is_used() {
    let invocation: Invocation<usize> = invoice_run("2026-11".into());
    let _ = (invocation, <invoice_run as Workflow>::NAME);
}
