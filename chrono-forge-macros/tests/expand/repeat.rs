#[workflow]
async fn repeat(order: Order, at: Timestamp) -> Result<()> {
    repeat!("call", every = days(3), until = is_paid(&order), |tick| remind(&order, tick)).await?;
    repeat!(every = policy.interval(), until = order.paid(), |_| order.remind(1)).await?;
    repeat!("report-{at}", cron = "0 6 * * MON-FRI", zone = "Europe/Berlin", until = { Ok(cx.get::<bool>("stop")?.unwrap_or(false)) },
        start_at = at, timeout = hours(2), on_error = Continue, retry = policy, |tick: Timestamp| {
            report(tick).await?;
            Ok(())
        }).await?;
    repeat!("own-error", every = hours(1), on_error = OnError::Fail, until = async { is_paid(&order).await }, |tick| async {
        Err(Declined)
    })
    .await?;
    repeat!("owned", every = hours(1), on_error = chosen, until = async move { is_paid(&order).await }, |tick| async move {
        remind(&order, tick).await
    })
    .await?;
    repeat!("braces", every = hours(1), until = is_paid(&order), |tick| {
        remind(&order, tick)
    })
    .await?;
    repeat!("chosen", every = hours(1), until = { Ok(true) }, |(tick)| if n > 1 { f(tick) } else { g(tick) }).await
}
