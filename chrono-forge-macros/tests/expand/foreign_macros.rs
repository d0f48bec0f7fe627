#[workflow]
async fn foreign_macros(n: u32) -> Result<()> {
    let (a, b) = tokio::join!(step!("a", f(n)), async { cf::step!("b", f(n)).await });
    let all = vec![::chrono_forge::wait!("c", hours(1)), crate::cf::wait!("d", hours(2))];
    tokio::select! {
        r = step!("e", f(n)) => { step!("f", f(n)).await?; }
        () = wait!("g", hours(1)) => return Ok(()),
    }
    assert!(step!("h", f(n)).await?.ok, "{}", step!("i", f(n)).await?);
    let late = |x: u32| async move { step!("j-{x}", f(x)).await };
    fn untouched() {
        step!("k", f(1));
    }
    macro_rules! untouched { ($x:expr) => { step!("l", f($x)) } }
    Ok(())
}
