#[workflow]
pub struct NotAFunction {
    field: u8,
}
