/// Documented.
#[allow(
    non_camel_case_types,
    dead_code,
    missing_copy_implementations,
    missing_debug_implementations
)]
pub struct error_in_signature {
    _priv: (),
}
#[allow(dead_code, unused_variables)]
pub fn error_in_signature<T: Display>(
    name: &str,
    t: T,
) -> ::chrono_forge::__private::Invocation<()> {
    loop {}
}
const _: () = {
    impl ::chrono_forge::__private::Workflow for error_in_signature {
        type Output = ();
        const NAME: &'static str = "";
        const DEFINITION: &'static ::chrono_forge::__private::Definition = ::core::compile_error! {
            "a workflow is an `async fn`: write `async fn`"
        };
    }
    #[allow(dead_code, unused_variables, unused_mut)]
    async fn error_in_signature<T: Display>(
        cx: Context,
        name: &str,
        t: T,
    ) -> Result<()> {
        let a = ::core::compile_error! {
            "a workflow is an `async fn`: write `async fn`"
        }
            .await?;
        ::core::compile_error! {
            "`step!` has no option `retires`; it takes `retry` and `timeout`"
        }
            .await?;
        Ok(())
    }
};
::core::compile_error! {
    "a workflow is an `async fn`: write `async fn`"
}
::core::compile_error! {
    "a workflow cannot be generic: it is registered once, under one name. Use concrete types, or move the generic code to a `#[workflow(part)]`"
}
::core::compile_error! {
    "arguments are stored with the run, so they must be owned: take `String`"
}
