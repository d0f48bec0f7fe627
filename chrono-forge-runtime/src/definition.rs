//! What `#[workflow]` registers: a definition per workflow, collected at link time.

use std::any::{Any, TypeId};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::record::{Json, Priority};
use crate::retry::RetryPolicies;

/// The run that a body executes for, opaque to generated code.
pub struct PassHandle(pub(crate) Arc<dyn Any + Send + Sync>);

/// A body, started: ends in the encoded output.
pub type BodyFuture = Pin<Box<dyn Future<Output = Result<Json, BodyError>> + Send>>;

/// What a body returned instead of a value.
#[derive(Debug)]
pub struct BodyError {
    pub error: anyhow::Error,
    /// The name of the error's static type.
    pub class: &'static str,
}

/// A workflow as the engine knows it: its types are erased, so the engine never names them.
#[derive(Debug)]
pub struct Definition {
    /// The registered name, stored with every run.
    pub name: &'static str,
    /// The application that its runs belong to, unless the builder says otherwise.
    pub application: &'static str,
    /// Module path and function name, for messages.
    pub path: &'static str,
    /// The queue that its runs wait in.
    pub queue: &'static str,
    /// Its priority among runs of its tier.
    pub priority: Priority,
    /// The author's version number.
    pub version: u32,
    /// The policies of the body, and of its steps that name none; without them, the defaults.
    pub retry: Option<fn() -> RetryPolicies>,
    /// The injected states it asks for.
    pub states: &'static [fn() -> StateSpec],
    /// Starts the body.
    pub run: fn(PassHandle) -> BodyFuture,
}

/// The Cargo package that a workflow is in; without Cargo, its crate.
#[must_use]
pub const fn application(package: Option<&'static str>, module: &'static str) -> &'static str {
    if let Some(package) = package {
        return package;
    }
    let (bytes, mut end) = (module.as_bytes(), 0);
    while end < bytes.len() && bytes[end] != b':' {
        end += 1;
    }
    module.split_at(end).0
}

/// An injected state that a workflow asks for.
#[derive(Clone, Copy, Debug)]
pub struct StateSpec {
    /// The state's type.
    pub id: TypeId,
    /// The same in an `Arc`.
    pub shared_id: TypeId,
    /// Its name, for messages.
    pub type_name: &'static str,
}

impl StateSpec {
    /// The spec of a `State<T>` parameter.
    #[must_use]
    pub fn of<T: Send + Sync + 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            shared_id: TypeId::of::<std::sync::Arc<T>>(),
            type_name: std::any::type_name::<T>(),
        }
    }
}

/// One link-time entry.
pub struct Registration(pub &'static Definition);

inventory::collect!(Registration);

/// Every workflow linked into this binary.
pub fn registered() -> impl Iterator<Item = &'static Definition> {
    inventory::iter::<Registration>
        .into_iter()
        .map(|registration| registration.0)
}

#[test]
fn an_application_is_a_package_or_a_crate() {
    assert_eq!(
        application(Some("shop-flows"), "shop_flows::orders"),
        "shop-flows"
    );
    assert_eq!(application(None, "shop::orders::late"), "shop");
    assert_eq!(application(None, "shop"), "shop");
}
