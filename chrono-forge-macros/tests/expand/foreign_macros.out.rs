#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
struct foreign_macros {
    _priv: (),
}
#[must_use = "an invocation does nothing until it is started or spawned"]
#[allow(dead_code)]
fn foreign_macros(
    n: u32,
) -> ::chrono_forge::__private::Invocation<
    <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output,
> {
    <foreign_macros>::__invoke(n)
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
    impl foreign_macros {
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
    impl ::chrono_forge::__private::Workflow for foreign_macros {
        type Output = <Result<()> as ::chrono_forge::__private::WorkflowReturn>::Output;
        const NAME: &'static str = "foreign_macros";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = &::chrono_forge::__private::Definition {
            name: "foreign_macros",
            application: ::chrono_forge::__private::application(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::module_path!(),
            ),
            path: ::core::concat!(::core::module_path!(), "::", "foreign_macros"),
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
        let (a, b) = tokio::join!(
            ::chrono_forge::__private::step(__cx, ::chrono_forge::__private::key("a"),
            ::chrono_forge::__private::StepOptions::new(), || async { f(n). await }),
            async { ::chrono_forge::__private::step(__cx,
            ::chrono_forge::__private::key("b"),
            ::chrono_forge::__private::StepOptions::new(), || async { f(n). await }).
            await }
        );
        let all = vec![
            ::chrono_forge::__private::wait(__cx, ::chrono_forge::__private::key("c"),
            hours(1)), ::chrono_forge::__private::wait(__cx,
            ::chrono_forge::__private::key("d"), hours(2))
        ];
        tokio::select! {
            r = ::chrono_forge::__private::step(__cx,
            ::chrono_forge::__private::key("e"),
            ::chrono_forge::__private::StepOptions::new(), || async { f(n). await }) => {
            ::chrono_forge::__private::step(__cx, ::chrono_forge::__private::key("f"),
            ::chrono_forge::__private::StepOptions::new(), || async { f(n). await }).
            await ?; } () = ::chrono_forge::__private::wait(__cx,
            ::chrono_forge::__private::key("g"), hours(1)) => return Ok(()),
        }
        assert!(
            ::chrono_forge::__private::step(__cx, ::chrono_forge::__private::key("h"),
            ::chrono_forge::__private::StepOptions::new(), || async { f(n). await }).
            await ?.ok, "{}", ::chrono_forge::__private::step(__cx,
            ::chrono_forge::__private::key("i"),
            ::chrono_forge::__private::StepOptions::new(), || async { f(n). await }).
            await ?
        );
        let late = |x: u32| async move {
            ::chrono_forge::__private::step(
                    __cx,
                    ::chrono_forge::__private::key(::std::format!("j-{x}")),
                    ::chrono_forge::__private::StepOptions::new(),
                    || async { f(x).await },
                )
                .await
        };
        fn untouched() {
            step!("k", f(1));
        }
        macro_rules! untouched {
            ($x:expr) => {
                step!("l", f($x))
            };
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
        ::chrono_forge::__private::Registration(< foreign_macros as
        ::chrono_forge::__private::Workflow > ::DEFINITION)
    }
};
