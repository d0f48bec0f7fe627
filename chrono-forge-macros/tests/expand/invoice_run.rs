#[workflow]
/// Sends the invoices of a month.
pub async fn invoice_run(mail: State<Mailer>, month: String) -> Result<usize> {
    let customers = step!(load_customers(&month)).await?;

    let invoices = branch!("invoices", {
        spawn_each!("customer", customers, |c| send_invoice(c))
    })
    .await?;

    wait!("settlement", hours(48)).await;

    let sent = merge!(invoices).await?;
    step!("report", retry = RetryPolicy::new().max_attempts(5), mail.report(&month, sent.len())).await?;
    Ok(sent.len())
}
