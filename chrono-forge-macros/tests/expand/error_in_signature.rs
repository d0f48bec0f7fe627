#[workflow]
/// Documented.
pub fn error_in_signature<T: Display>(cx: Context, #[serde(default)] name: &str, t: T) -> Result<()> {
    let a = step!("a", f(name)).await?;
    step!("b", retires = 3, f(a)).await?;
    Ok(())
}
