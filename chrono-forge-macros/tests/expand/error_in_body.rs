#[workflow]
async fn error_in_body(n: u32) -> Result<()> {
    let a = step!("a", f(n)).await?;
    let b = step!("b", retires = 3, f(a)).await?;
    tokio::join!(repeat!("c", every = hours(1), |t| f(t)), wait!("d", hours(1)));
    for i in b {
        step!("e", f(i)).await?;
    }
    Ok(())
}
