#[workflow(crate = crate::reexports::cf)]
async fn renamed(cx: Context, s: State<Db>, order: Order) -> Result<()> {
    cf::step!("a-{order}", retry = policy, f(order)).await?;
    wait_until!("b", every = hours(1), g(order)).await?;
    let b = branch!("c", { spawn_each!("d", order.lines, |l| h(l)) }).await?;
    merge!(b, "e-{order}").await?;
    Ok(())
}
