#[workflow]
async fn operations(order: Order) -> Result<()> {
    step!(charge(&order)).await?;
    step!("method", timeout = minutes(1), order.pay(1)).await?;
    step!("own-error", async { Err(Declined) }).await?;
    step!("owned", async move { charge(&order.id).await }).await?;
    step!("block", { Ok(charge(&order).await?) }).await?;
    step!("id-{order}", retry = policy, timeout = secs(1), charge(&order)).await?;
    step!(format!("expr-{}", order.id), charge(&order)).await?;
    wait!("duration", hours(1)).await;
    wait!("instant", until = tomorrow).await;
    wait_until!("paid", every = minutes(5), timeout = days(1), retry = policy, is_paid(&order)).await?;
    continue_if!("approved", timeout = days(1), { Ok(is_approved(&order).await? && order.open) }).await?;
    let plain = branch!("plain", automerge = false, {
        let first = spawn!("first", ship(order.clone()));
        let rest = spawn_each!("rest", of = 500, order.lines, |(n, line): (usize, Line)| {
            let line = check(line).await?;
            ship_line(n, line)
        });
        (first, rest)
    })
    .await?;
    branch!("by-name", { spawn!("only", ship(order.clone())); }).await?;
    let joined = branch!["automerge", automerge = true, { 1 }].await?;
    branch!("patient", automerge = true, retry = [busy, policy], {}).await?;
    merge!(plain).await?;
    merge!("by-name").await?;
    merge!(plain, "by-name", others).await?;
    Ok(())
}
