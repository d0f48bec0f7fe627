#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
struct error_in_body {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
fn error_in_body(
    n: u32,
) -> ::chrono_forge::__private::Invocation<
    <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <error_in_body>::__invoke(n)
}
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {
        n: u32,
    }
    impl error_in_body {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        fn __invoke(
            n: u32,
        ) -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<Self, __Args>(&__Args { n })
        }
    }
    impl ::chrono_forge::__private::Workflow for error_in_body {
        type Output = <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "error_in_body";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "error_in_body",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "error_in_body"),
            queue: "default",
            priority: ::chrono_forge::__private::Priority::Normal,
            version: 1,
            retry: ::core::option::Option::None,
            states: &[],
            run: __run,
        };
    }
    #[allow(clippy::too_many_arguments)]
    async fn __body(__cx: &::chrono_forge::__private::Context, n: u32) -> Result<()> {
        let a = ::chrono_forge::__private::step(
                __cx,
                ::chrono_forge::__private::key("a"),
                ::chrono_forge::__private::StepOptions::new(),
                || async { f(n).await },
            )
            .await?;
        let b = ::core::compile_error! {
            "`step!` has no option `retires`; it takes `retry` and `timeout`"
        }
            .await?;
        tokio::join!(
            ::core::compile_error! {
            "`race!` is reserved for a later version of chrono-forge" },
            ::chrono_forge::__private::wait(__cx, ::chrono_forge::__private::key("d"),
            hours(1))
        );
        for i in b {
            ::core::compile_error! {
                "in a loop every round would have the key \"e\", and one key is one operation; put the loop variable into the key: `step!(\"e-{i}\", ..)`"
            }
                .await?;
        }
        Ok(())
    }
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let __args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(&__cx, __args.n).await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< error_in_body as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
