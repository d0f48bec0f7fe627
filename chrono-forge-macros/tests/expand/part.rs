#[workflow(part)]
/// Ships one order.
#[inline]
pub(crate) async fn ship<'a, T: Carrier>(&self, cx: &'a Context, carrier: &T, order: &'a Order) -> Result<&'a Order>
where
    T: Sync,
{
    step!("ship-{order}", carrier.ship(order)).await?;
    spawn!("label", print_label(order.id));
    Ok(order)
}
