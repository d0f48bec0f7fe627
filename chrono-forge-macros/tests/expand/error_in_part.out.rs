async fn error_in_part(order: &Order) -> Result<()> {
    ::core::compile_error! {
        "a part is an `async fn`: write `async fn`"
    }
        .await?;
    Ok(())
}
::core::compile_error! {
    "a part is an `async fn`: write `async fn`"
}
::core::compile_error! {
    "the first parameter of a part is the caller's context: `cx: &Context`"
}
