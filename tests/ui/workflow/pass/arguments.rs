#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

use std::borrow::Cow;

#[workflow]
async fn arguments(
    mut first: Vec<String>,
    #[serde(default, alias = "remark")] note: Option<String>,
    #[cfg(any())] never: NoSuchType,
    #[cfg(panic = "unwind")] always: u8,
    #[cfg(not(panic = "unwind"))] either: NoSuchType,
    #[cfg(panic = "unwind")] either: u16,
    r#type: Cow<'static, str>,
    _unused: u64,
    #[allow(unused_variables)] ignored: (u8, [u8; 2]),
) -> Result<usize> {
    first.extend(note);
    Ok(first.len() + usize::from(always) + usize::from(either) + r#type.len())
}

#[test]
fn is_used() {
    let _ = arguments(vec![], None, 1, 2, "a".into(), 3, (4, [5, 6]));
}
