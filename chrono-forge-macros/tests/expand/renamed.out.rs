#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
struct renamed {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
fn renamed(
    order: Order,
) -> crate::reexports::cf::__private::Invocation<
    <Result<()> as crate::reexports::cf::__private::WorkflowReturn>::Output,
> {
    <renamed>::__invoke(order)
}
const _: () = {
    #[derive(
        crate::reexports::cf::__private::serde::Serialize,
        crate::reexports::cf::__private::serde::Deserialize
    )]
    #[serde(crate = "crate::reexports::cf::__private::serde")]
    struct __Args {
        order: Order,
    }
    impl renamed {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        fn __invoke(
            order: Order,
        ) -> crate::reexports::cf::__private::Invocation<
            <Self as crate::reexports::cf::__private::Workflow>::Output,
        > {
            crate::reexports::cf::__private::invoke::<Self, __Args>(&__Args { order })
        }
    }
    impl crate::reexports::cf::__private::Workflow for renamed {
        type Output = <Result<
            (),
        > as crate::reexports::cf::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "renamed";
        const DEFINITION: &'static crate::reexports::cf::__private::Definition = &crate::reexports::cf::__private::Definition {
            name: "renamed",
            application: crate::reexports::cf::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "renamed"),
            queue: "default",
            priority: crate::reexports::cf::__private::Priority::Normal,
            version: 1,
            retry: ::core::option::Option::None,
            states: &[crate::reexports::cf::__private::StateSpec::of::<Db>],
            run: __run,
        };
    }
    #[allow(clippy::too_many_arguments)]
    async fn __body(
        __cx: &crate::reexports::cf::__private::Context,
        cx: Context,
        s: State<Db>,
        order: Order,
    ) -> Result<()> {
        crate::reexports::cf::__private::step(
                __cx,
                crate::reexports::cf::__private::key(::std::format!("a-{order}")),
                crate::reexports::cf::__private::StepOptions::new().retry(policy),
                || async { f(order).await },
            )
            .await?;
        crate::reexports::cf::__private::wait_until(
                __cx,
                crate::reexports::cf::__private::key("b"),
                crate::reexports::cf::__private::WaitUntilOptions::new().every(hours(1)),
                || async { g(order).await },
            )
            .await?;
        let b = crate::reexports::cf::__private::branch(
                __cx,
                crate::reexports::cf::__private::key("c"),
                crate::reexports::cf::__private::BranchOptions::new(),
                || crate::reexports::cf::__private::anyhow_block(async {
                    ::core::result::Result::Ok({
                        {
                            let __slot = crate::reexports::cf::__private::slot();
                            crate::reexports::cf::__private::spawn_each(
                                    __cx,
                                    crate::reexports::cf::__private::key("d"),
                                    crate::reexports::cf::__private::SpawnEachOptions::new(),
                                    order.lines,
                                    &__slot,
                                    || crate::reexports::cf::__private::anyhow_block(async {
                                        let l = __slot.take();
                                        ::core::result::Result::Ok(h(l))
                                    }),
                                )
                                .await
                        }
                    })
                }),
            )
            .await?;
        crate::reexports::cf::__private::merge(
                __cx,
                (b, crate::reexports::cf::__private::named(::std::format!("e-{order}"))),
            )
            .await?;
        Ok(())
    }
    fn __run(
        __pass: crate::reexports::cf::__private::PassHandle,
    ) -> crate::reexports::cf::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = crate::reexports::cf::__private::context(__pass);
            let __args: __Args = crate::reexports::cf::__private::arguments(&__cx).await;
            let __out = __body(
                    &__cx,
                    ::core::clone::Clone::clone(&__cx),
                    crate::reexports::cf::__private::state::<Db>(&__cx),
                    __args.order,
                )
                .await;
            crate::reexports::cf::__private::finish(&__cx, __out)
        })
    }
    crate::reexports::cf::__private::inventory::submit! {
        crate ::reexports::cf::__private::Registration(< renamed as crate
        ::reexports::cf::__private::Workflow > ::DEFINITION)
    }
};
