#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
struct operations {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
fn operations(
    order: Order,
) -> ::chrono_forge::__private::Invocation<
    <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <operations>::__invoke(order)
}
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {
        order: Order,
    }
    impl operations {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        fn __invoke(
            order: Order,
        ) -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<Self, __Args>(&__Args { order })
        }
    }
    impl ::chrono_forge::__private::Workflow for operations {
        type Output = <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "operations";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "operations",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "operations"),
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
    ) -> Result<()> {
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("charge"),
                ::chrono_forge::__private::StepOptions::new(),
                || async { charge(&order).await },
            )
            .await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("method"),
                ::chrono_forge::__private::StepOptions::new().timeout(minutes(1)),
                || async { order.pay(1).await },
            )
            .await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("own-error"),
                ::chrono_forge::__private::StepOptions::new(),
                || async { (async { Err(Declined) }).await },
            )
            .await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("owned"),
                ::chrono_forge::__private::StepOptions::new(),
                move || async move { charge(&order.id).await },
            )
            .await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("block"),
                ::chrono_forge::__private::StepOptions::new(),
                || ::chrono_forge::__private::anyhow_block(async {
                    Ok(charge(&order).await?)
                }),
            )
            .await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key(::std::format!("id-{order}")),
                ::chrono_forge::__private::StepOptions::new()
                    .retry(policy)
                    .timeout(secs(1)),
                || async { charge(&order).await },
            )
            .await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key(format!("expr-{}", order.id)),
                ::chrono_forge::__private::StepOptions::new(),
                || async { charge(&order).await },
            )
            .await?;
        ::chrono_forge::__private::wait(
                __cx,
                ::chrono_forge::__private::key("duration"),
                hours(1),
            )
            .await;
        ::chrono_forge::__private::wait_instant(
                __cx,
                ::chrono_forge::__private::key("instant"),
                tomorrow,
            )
            .await;
        ::chrono_forge::__private::wait_until(
                __cx,
                ::chrono_forge::__private::key("paid"),
                ::chrono_forge::__private::WaitUntilOptions::new()
                    .every(minutes(5))
                    .timeout(days(1))
                    .retry(policy),
                || async { is_paid(&order).await },
            )
            .await?;
        ::chrono_forge::__private::continue_if(
                __cx,
                ::chrono_forge::__private::key("approved"),
                ::chrono_forge::__private::ContinueIfOptions::new().timeout(days(1)),
                || ::chrono_forge::__private::anyhow_block(async {
                    Ok(is_approved(&order).await? && order.open)
                }),
            )
            .await?;
        let plain = ::chrono_forge::__private::branch(
                __cx,
                ::chrono_forge::__private::key("plain"),
                ::chrono_forge::__private::BranchOptions::new(),
                || ::chrono_forge::__private::anyhow_block(async {
                    ::core::result::Result::Ok({
                        let first = ::chrono_forge::__private::spawn(
                                __cx,
                                ::chrono_forge::__private::key("first"),
                                ship(order.clone()),
                            )
                            .await;
                        let rest = {
                            let __slot = ::chrono_forge::__private::slot();
                            ::chrono_forge::__private::spawn_each(
                                    __cx,
                                    ::chrono_forge::__private::key("rest"),
                                    ::chrono_forge::__private::SpawnEachOptions::new().of(500),
                                    order.lines,
                                    &__slot,
                                    || ::chrono_forge::__private::anyhow_block(async {
                                        let (n, line): (usize, Line) = __slot.take();
                                        ::core::result::Result::Ok({
                                            let line = check(line).await?;
                                            ship_line(n, line)
                                        })
                                    }),
                                )
                                .await
                        };
                        (first, rest)
                    })
                }),
            )
            .await?;
        ::chrono_forge::__private::branch(
                __cx,
                ::chrono_forge::__private::key("by-name"),
                ::chrono_forge::__private::BranchOptions::new(),
                || ::chrono_forge::__private::anyhow_block(async {
                    ::core::result::Result::Ok({
                        ::chrono_forge::__private::spawn(
                                __cx,
                                ::chrono_forge::__private::key("only"),
                                ship(order.clone()),
                            )
                            .await;
                    })
                }),
            )
            .await?;
        let joined = ::chrono_forge::__private::branch_automerge(
                __cx,
                ::chrono_forge::__private::key("automerge"),
                ::chrono_forge::__private::BranchOptions::new(),
                || ::chrono_forge::__private::anyhow_block(async {
                    ::core::result::Result::Ok({ 1 })
                }),
            )
            .await?;
        ::chrono_forge::__private::branch_automerge(
                __cx,
                ::chrono_forge::__private::key("patient"),
                ::chrono_forge::__private::BranchOptions::new().retry([busy, policy]),
                || ::chrono_forge::__private::anyhow_block(async {
                    ::core::result::Result::Ok({})
                }),
            )
            .await?;
        ::chrono_forge::__private::merge(__cx, plain).await?;
        ::chrono_forge::__private::merge(
                __cx,
                ::chrono_forge::__private::named("by-name"),
            )
            .await?;
        ::chrono_forge::__private::merge(
                __cx,
                (plain, ::chrono_forge::__private::named("by-name"), others),
            )
            .await?;
        Ok(())
    }
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let __args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(&__cx, __args.order).await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< operations as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
