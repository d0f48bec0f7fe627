pub struct NotAFunction {
    field: u8,
}
::core::compile_error! {
    "`#[workflow]` stands on an `async fn` with a body: `#[workflow] async fn invoice_run(month: String) -> Result<usize> { .. }` (expected `fn`)"
}
