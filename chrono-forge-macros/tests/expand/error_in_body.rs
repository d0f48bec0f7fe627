#[workflow]
async fn error_in_body(n: u32) -> Result<()> {
    let a = step!("a", f(n)).await?;
    let b = step!("b", retires = 3, f(a)).await?;
    tokio::join!(race!("c", f(n), g(n)), wait!("d", hours(1)));
    for i in b {
        step!("e", f(i)).await?;
    }
    Ok(())
}
