/// Sends the invoices of a month.
#[allow(
    non_camel_case_types,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
pub struct invoice_run {
    _priv: (),
}
/// Sends the invoices of a month.
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
pub fn invoice_run(
    month: String,
) -> ::chrono_forge::__private::Invocation<
    <Result<usize> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <invoice_run>::__invoke(month)
}
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {
        month: String,
    }
    impl invoice_run {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        pub fn __invoke(
            month: String,
        ) -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<Self, __Args>(&__Args { month })
        }
    }
    impl ::chrono_forge::__private::Workflow for invoice_run {
        type Output = <Result<
            usize,
        > as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "invoice_run";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "invoice_run",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "invoice_run"),
            queue: "default",
            priority: ::chrono_forge::__private::Priority::Normal,
            version: 1,
            retry: ::core::option::Option::None,
            states: &[::chrono_forge::__private::StateSpec::of::<Mailer>],
            run: __run,
        };
    }
    #[allow(clippy::too_many_arguments)]
    async fn __body(
        __cx: &::chrono_forge::__private::Context,
        mail: State<Mailer>,
        month: String,
    ) -> Result<usize> {
        let customers = ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("load_customers"),
                ::chrono_forge::__private::StepOptions::new(),
                || async { load_customers(&month).await },
            )
            .await?;
        let invoices = ::chrono_forge::__private::branch(
                __cx,
                ::chrono_forge::__private::key("invoices"),
                ::chrono_forge::__private::BranchOptions::new(),
                || ::chrono_forge::__private::anyhow_block(async {
                    ::core::result::Result::Ok({
                        {
                            let __slot = ::chrono_forge::__private::slot();
                            ::chrono_forge::__private::spawn_each(
                                    __cx,
                                    ::chrono_forge::__private::key("customer"),
                                    ::chrono_forge::__private::SpawnEachOptions::new(),
                                    customers,
                                    &__slot,
                                    || ::chrono_forge::__private::anyhow_block(async {
                                        let c = __slot.take();
                                        ::core::result::Result::Ok(send_invoice(c))
                                    }),
                                )
                                .await
                        }
                    })
                }),
            )
            .await?;
        ::chrono_forge::__private::wait(
                __cx,
                ::chrono_forge::__private::key("settlement"),
                hours(48),
            )
            .await;
        let sent = ::chrono_forge::__private::merge(__cx, invoices).await?;
        ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("report"),
                ::chrono_forge::__private::StepOptions::new()
                    .retry(RetryPolicy::new().max_attempts(5)),
                || async { mail.report(&month, sent.len()).await },
            )
            .await?;
        Ok(sent.len())
    }
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let __args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(
                    &__cx,
                    ::chrono_forge::__private::state::<Mailer>(&__cx),
                    __args.month,
                )
                .await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< invoice_run as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
