#[workflow(part)]
fn error_in_part(order: &Order) -> Result<()> {
    step!("a", f(order)).await?;
    Ok(())
}
