#[cfg(feature = "billing")]
/// Documented.
#[cfg_attr(docsrs, doc(cfg(feature = "billing")))]
#[allow(clippy::similar_names)]
#[deprecated(note = "use the other one")]
#[allow(
    non_camel_case_types,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
pub struct attributes {
    _priv: (),
}
#[cfg(feature = "billing")]
/// Documented.
#[cfg_attr(docsrs, doc(cfg(feature = "billing")))]
#[allow(clippy::similar_names)]
#[deprecated(note = "use the other one")]
#[must_use = "start it"]
#[allow(deprecated)]
#[allow(dead_code)]
pub fn attributes() -> ::chrono_forge::__private::Invocation<
    <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <attributes>::__invoke()
}
#[cfg(feature = "billing")]
#[allow(clippy::similar_names)]
#[allow(deprecated)]
const _: () = {
    #[derive(
        ::chrono_forge::__private::serde::Serialize,
        ::chrono_forge::__private::serde::Deserialize
    )]
    #[serde(crate = "::chrono_forge::__private::serde")]
    struct __Args {}
    impl attributes {
        #[doc(hidden)]
        #[allow(dead_code, clippy::too_many_arguments)]
        pub fn __invoke() -> ::chrono_forge::__private::Invocation<
            <Self as ::chrono_forge::__private::Workflow>::Output,
        > {
            ::chrono_forge::__private::invoke::<Self, __Args>(&__Args {})
        }
    }
    impl ::chrono_forge::__private::Workflow for attributes {
        type Output = <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "attributes";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "attributes",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "attributes"),
            queue: "default",
            priority: ::chrono_forge::__private::Priority::Normal,
            version: 1,
            retry: ::core::option::Option::None,
            states: &[::chrono_forge::__private::StateSpec::of::<Db>],
            run: __run,
        };
    }
    #[expect(unused_variables)]
    #[tracing::instrument(skip_all)]
    #[allow(clippy::too_many_arguments)]
    async fn __body(
        __cx: &::chrono_forge::__private::Context,
        s: State<Db>,
    ) -> Result<()> {
        Ok(())
    }
    fn __run(
        __pass: ::chrono_forge::__private::PassHandle,
    ) -> ::chrono_forge::__private::BodyFuture {
        ::std::boxed::Box::pin(async move {
            let __cx = ::chrono_forge::__private::context(__pass);
            let _args: __Args = ::chrono_forge::__private::arguments(&__cx).await;
            let __out = __body(&__cx, ::chrono_forge::__private::state::<Db>(&__cx))
                .await;
            ::chrono_forge::__private::finish(&__cx, __out)
        })
    }
    ::chrono_forge::__private::inventory::submit! {
        ::chrono_forge::__private::Registration(< attributes as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
