//! What the attribute understood, as plain data. No logic lives here, and nothing changes after
//! parsing; every node keeps the user's tokens so that errors and generated code point at them.

use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use syn::Attribute;
use syn::Block;
use syn::Expr;
use syn::LitStr;
use syn::Pat;
use syn::Path;
use syn::Signature;
use syn::Type;
use syn::Visibility;

/// The annotated item.
pub(crate) enum Definition {
    /// `#[workflow]`: a registered definition with a type and a constructor.
    Workflow(Function),
    /// `#[workflow(part)]`: a helper that may use the vocabulary.
    Part(Function),
    /// Something that is no function; emitted as it was.
    Foreign(TokenStream),
}

/// An annotated function.
pub(crate) struct Function {
    /// What stands in the parentheses of the attribute.
    pub(crate) options: Options,
    /// Every other attribute, as written.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// The signature as written.
    pub(crate) signature: Signature,
    /// Those parameters whose name and role are clear, in order.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Body,
}

/// The options of the attribute; absent ones take their defaults in the generated code.
#[derive(Default)]
pub(crate) struct Options {
    /// The `part` flag.
    pub(crate) part: Option<Ident>,
    /// The registered name.
    pub(crate) name: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) priority: Option<Priority>,
    /// An expression that makes a retry policy, or an array of them.
    pub(crate) retry: Option<Expr>,
    pub(crate) version: Option<u32>,
    /// The name of the generated type.
    pub(crate) type_name: Option<Ident>,
    /// Where the runtime is found, if not at `::chrono_forge`.
    pub(crate) root: Option<Path>,
    /// All names written, for rules about their combination.
    pub(crate) written: Vec<Ident>,
}

/// How soon a run is claimed, compared with others.
#[derive(Clone, Copy)]
pub(crate) enum Priority {
    High,
    Normal,
    Low,
}

/// One parameter of a workflow.
pub(crate) struct Parameter {
    /// `#[cfg]`: guards every use of the parameter.
    pub(crate) cfg: Vec<Attribute>,
    /// `#[serde]`: moves to the stored struct.
    pub(crate) serde: Vec<Attribute>,
    /// Whatever else was written; stays on the body's signature.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) mutability: Option<syn::Token![mut]>,
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) role: Role,
}

/// Where a parameter's value comes from.
pub(crate) enum Role {
    /// From the caller, stored with the run.
    Argument,
    /// The run's handle.
    Context,
    /// Injected by the builder; holds the `T` of `State<T>`.
    State(Box<Type>),
}

/// A function body with its operations taken out.
///
/// Each operation is replaced by the marker `__chrono_forge_operation!(index)`, in the tokens and in
/// the syntax alike, also within the arguments of other operations. So checks see where an
/// operation stands, and code generation can put the call back without having parsed the rest.
pub(crate) struct Body {
    /// The content of the outer braces.
    pub(crate) tokens: TokenStream,
    /// The outer braces.
    pub(crate) braces: proc_macro2::extra::DelimSpan,
    /// The same content parsed; absent if it did not parse, which is an error already reported.
    pub(crate) syntax: Option<Block>,
    /// Operations by index. `None` stands for one whose arguments could not be understood.
    pub(crate) operations: Vec<Option<Operation>>,
}

/// The index of an operation in its body.
pub(crate) type OperationId = usize;

/// One durable operation.
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    /// The macro's name as written.
    pub(crate) name: Ident,
    /// Absent for `merge!` alone.
    pub(crate) key: Option<Key>,
    /// `name = value`, in order; what is part of the work is not among them: `automerge`, and the
    /// `until` of `wait!` and `repeat!`.
    pub(crate) options: Vec<(Ident, Expr)>,
    pub(crate) work: Work,
}

/// The macros of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Step,
    Wait,
    WaitUntil,
    ContinueIf,
    Repeat,
    Branch,
    Spawn,
    SpawnEach,
    Merge,
}

/// What identifies an operation among those of its run.
pub(crate) enum Key {
    /// A literal without captures.
    Literal(LitStr),
    /// A literal with `{captures}`.
    Format(LitStr),
    /// Any other expression.
    Value(Expr),
    /// No key was written: the name of the called function.
    Default { text: String, span: Span },
}

/// What an operation does.
pub(crate) enum Work {
    /// The body of a step, or a condition.
    Attempt(Attempt),
    /// A task for every tick of a schedule.
    Repetition(Box<Repetition>),
    /// A duration to wait for.
    Duration(Expr),
    /// An instant to wait for.
    Instant(Expr),
    /// A branch block; it ends in its value.
    Branch { block: Block, automerge: bool },
    /// The child to start.
    Child(Expr),
    /// One child per item of a source.
    Children(Box<Children>),
    /// What to join.
    Handles(Vec<Handle>),
}

/// Code that runs under the engine's control, anew for each attempt.
pub(crate) enum Attempt {
    /// An expression that is awaited as written.
    Future(Expr),
    /// `{ .. Ok(value) }` with any error.
    Block(Block),
}

/// What `repeat!` does.
pub(crate) struct Repetition {
    /// The condition that ends it.
    pub(crate) until: Attempt,
    /// The closure's argument: the instant that a tick was scheduled for.
    pub(crate) tick: Pat,
    /// The closure's body.
    pub(crate) task: Attempt,
}

/// What `spawn_each!` starts.
pub(crate) struct Children {
    pub(crate) source: Expr,
    /// The closure's argument.
    pub(crate) item: Pat,
    /// The closure's body, which ends in an invocation.
    pub(crate) child: Expr,
}

/// One argument of `merge!`.
pub(crate) enum Handle {
    /// A branch, or a vector of them.
    Value(Expr),
    /// A branch by its name.
    Named(Key),
}
