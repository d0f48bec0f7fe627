#[allow(
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
pub(crate) struct InvoiceRun {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(clippy::used_underscore_binding)]
#[allow(dead_code)]
pub(crate) fn invoice_run(
    month: String,
    note: Option<String>,
    #[cfg(feature = "vat")]
    vat: Rate,
    r#type: u8,
    _later: u8,
) -> ::chrono_forge::__private::Invocation<
    <Outcome<usize> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <InvoiceRun>::__invoke(month, note, #[cfg(feature = "vat")] vat, r#type, _later)
}
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {
        month: String,
        #[serde(default)]
        note: Option<String>,
        #[cfg(feature = "vat")]
        vat: Rate,
        r#type: u8,
        _later: u8,
    }
    impl InvoiceRun {
        #[doc(hidden)]
        #[allow(clippy::used_underscore_binding)]
        #[allow(dead_code, clippy::too_many_arguments)]
        pub(crate) fn __invoke(
            month: String,
            note: Option<String>,
            #[cfg(feature = "vat")]
            vat: Rate,
            r#type: u8,
            _later: u8,
        ) -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<
                Self,
                __Args,
            >(
                &__Args {
                    month,
                    note,
                    #[cfg(feature = "vat")]
                    vat,
                    r#type,
                    _later,
                },
            )
        }
    }
    impl ::chrono_forge::__private::Workflow for InvoiceRun {
        type Output = <Outcome<
            usize,
        > as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "billing.invoice";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "billing.invoice",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "invoice_run"),
            queue: "slow",
            priority: ::chrono_forge::__private::Priority::High,
            version: 7,
            retry: ::core::option::Option::Some(|| -> ::chrono_forge::__private::RetryPolicies {
                ::core::convert::Into::into(RetryPolicy::new().max_attempts(2))
            }),
            states: &[],
            run: __run,
        };
    }
    #[allow(clippy::too_many_arguments)]
    async fn __body(
        __cx: &::chrono_forge::__private::Context,
        cx: Context,
        mut month: String,
        note: Option<String>,
        #[cfg(feature = "vat")]
        vat: Rate,
        #[allow(unused_variables)]
        r#type: u8,
        _later: u8,
    ) -> Outcome<usize> {
        month.push('!');
        Ok(0)
    }
    #[allow(clippy::used_underscore_binding)]
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let __args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(
                    &__cx,
                    ::core::clone::Clone::clone(&__cx),
                    __args.month,
                    __args.note,
                    #[cfg(feature = "vat")]
                    __args.vat,
                    __args.r#type,
                    __args._later,
                )
                .await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< InvoiceRun as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
