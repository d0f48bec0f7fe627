#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
struct bare {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
fn bare() -> ::chrono_forge::__private::Invocation<
    <() as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <bare>::__invoke()
}
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {}
    impl bare {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        fn __invoke() -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<Self, __Args>(&__Args {})
        }
    }
    impl ::chrono_forge::__private::Workflow for bare {
        type Output = <() as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "bare";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "bare",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "bare"),
            queue: "default",
            priority: ::chrono_forge::__private::Priority::Normal,
            version: 1,
            retry: ::core::option::Option::None,
            states: &[],
            run: __run,
        };
    }
    #[allow(clippy::too_many_arguments)]
    async fn __body(__cx: &::chrono_forge::__private::Context) {}
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let _args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(&__cx).await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< bare as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
