#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
struct repeat {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
fn repeat(
    order: Order,
    at: Timestamp,
) -> ::chrono_forge::__private::Invocation<
    <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <repeat>::__invoke(order, at)
}
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {
        order: Order,
        at: Timestamp,
    }
    impl repeat {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        fn __invoke(
            order: Order,
            at: Timestamp,
        ) -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<Self, __Args>(&__Args { order, at })
        }
    }
    impl ::chrono_forge::__private::Workflow for repeat {
        type Output = <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "repeat";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "repeat",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "repeat"),
            queue: "default",
            priority: ::chrono_forge::__private::Priority::Normal,
            version: 1,
            retry: ::core::option::Option::None,
            states: &[],
            run: __run,
        };
    }
    #[allow(clippy::too_many_arguments)]
    async fn __body(
        __cx: &::chrono_forge::__private::Context,
        order: Order,
        at: Timestamp,
    ) -> Result<()> {
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key("call"),
                ::chrono_forge::__private::RepeatOptions::new().every(days(3)),
                || async { is_paid(&order).await },
                || async {
                    let tick = ::chrono_forge::__private::tick();
                    remind(&order, tick).await
                },
            )
            .await?;
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key("remind"),
                ::chrono_forge::__private::RepeatOptions::new().every(policy.interval()),
                || async { order.paid().await },
                || async {
                    let _ = ::chrono_forge::__private::tick();
                    order.remind(1).await
                },
            )
            .await?;
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key(::std::format!("report-{at}")),
                ::chrono_forge::__private::RepeatOptions::new()
                    .cron("0 6 * * MON-FRI")
                    .zone("Europe/Berlin")
                    .start_at(at)
                    .timeout(hours(2))
                    .on_error(::chrono_forge::__private::OnError::Continue)
                    .retry(policy),
                || ::chrono_forge::__private::anyhow_block(async {
                    Ok(cx.get::<bool>("stop")?.unwrap_or(false))
                }),
                || ::chrono_forge::__private::anyhow_block(async {
                    let tick: Timestamp = ::chrono_forge::__private::tick();
                    {
                        report(tick).await?;
                        Ok(())
                    }
                }),
            )
            .await?;
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key("own-error"),
                ::chrono_forge::__private::RepeatOptions::new()
                    .every(hours(1))
                    .on_error(OnError::Fail),
                || async { (async { is_paid(&order).await }).await },
                || async {
                    let tick = ::chrono_forge::__private::tick();
                    (async { Err(Declined) }).await
                },
            )
            .await?;
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key("owned"),
                ::chrono_forge::__private::RepeatOptions::new()
                    .every(hours(1))
                    .on_error(chosen),
                move || async move { is_paid(&order).await },
                move || async move {
                    let tick = ::chrono_forge::__private::tick();
                    (async move { remind(&order, tick).await }).await
                },
            )
            .await?;
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key("braces"),
                ::chrono_forge::__private::RepeatOptions::new().every(hours(1)),
                || async { is_paid(&order).await },
                || async {
                    let tick = ::chrono_forge::__private::tick();
                    remind(&order, tick).await
                },
            )
            .await?;
        ::chrono_forge::__private::repeat(
                __cx,
                ::chrono_forge::__private::key("chosen"),
                ::chrono_forge::__private::RepeatOptions::new().every(hours(1)),
                || ::chrono_forge::__private::anyhow_block(async { Ok(true) }),
                || async {
                    let (tick) = ::chrono_forge::__private::tick();
                    (if n > 1 { f(tick) } else { g(tick) }).await
                },
            )
            .await
    }
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let __args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(&__cx, __args.order, __args.at).await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< repeat as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
