#[workflow(
    name = "billing.invoice",
    queue = "slow",
    priority = high,
    retry = RetryPolicy::new().max_attempts(2),
    version = 7,
    type = InvoiceRun,
)]
pub(crate) async fn invoice_run(
    cx: Context,
    mut month: String,
    #[serde(default)] note: Option<String>,
    #[cfg(feature = "vat")] vat: Rate,
    #[allow(unused_variables)] r#type: u8,
    _later: u8,
) -> Outcome<usize> {
    month.push('!');
    Ok(0)
}
