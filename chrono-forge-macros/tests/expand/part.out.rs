/// Ships one order.
#[inline]
pub(crate) async fn ship<'a, T: Carrier>(
    &self,
    cx: &'a Context,
    carrier: &T,
    order: &'a Order,
) -> Result<&'a Order>
where
    T: Sync,
{
    let __cx: &::chrono_forge::__private::Context = cx;
    ::chrono_forge::__private::step(
            __cx,
            ::chrono_forge::__private::key(::std::format!("ship-{order}")),
            ::chrono_forge::__private::StepOptions::new(),
            || async { carrier.ship(order).await },
        )
        .await?;
    ::chrono_forge::__private::spawn(
            __cx,
            ::chrono_forge::__private::key("label"),
            print_label(order.id),
        )
        .await;
    Ok(order)
}
