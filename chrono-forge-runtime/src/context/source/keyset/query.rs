//! A page as a Diesel query.

use diesel::dsl::{Asc, Filter, Gt, Limit, Order, Select};
use diesel::expression::{AsExpression, Expression};
use diesel::query_builder::IntoUpdateTarget;
use diesel::query_dsl::LoadQuery;
use diesel::query_dsl::methods::{FilterDsl, LimitDsl, OrderDsl, SelectDsl};
use diesel::result::{Error, UnexpectedNullError};
use diesel::sql_types::{SingleValue, SqlType, is_nullable};
use diesel::{Column, ExpressionMethods, QueryResult, RunQueryDsl, Table};

use super::Connections;
use crate::error::KeysetError;

/// A query that can be read in pages: a table, or a table with filters. A keyset gives the order, the
/// limit and the selection itself. Diesel draws the same line around what can be updated, for the same
/// reason: anything more would change which rows are meant.
#[diagnostic::on_unimplemented(
    message = "a `Keyset` cannot page over this query",
    note = "give it a table, or a table with filters: `customers::table.filter(..)`",
    note = "the order, the limit and the offset are its own; columns are chosen by `Keyset::new(..).select(..)`; what joins, groups, locks or removes duplicates belongs in a filter (`eq_any`, `exists`), in a view, or in the child"
)]
pub trait KeysetQuery: IntoUpdateTarget + Clone + Send + 'static {}

impl<Q: IntoUpdateTarget + Clone + Send + 'static> KeysetQuery for Q {}

/// The one column that is the primary key of `Tab`, so that it is unique and in order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the one primary key column of `{Tab}`",
    note = "a `Keyset` pages by the primary key, since no other column is known to be unique and never null",
    note = "a primary key of two to four columns is given as a tuple: `Keyset::composite(lines::table, (lines::order_id, lines::line_no))`"
)]
pub trait PrimaryKeyOf<Tab>:
    Column<SqlType: SingleValue> + ExpressionMethods + Clone + Send + 'static
{
}

impl<Tab, PK> PrimaryKeyOf<Tab> for PK
where
    Tab: Table<PrimaryKey = PK>,
    PK: Column<Table = Tab, SqlType: SingleValue + SqlType<IsNull = is_nullable::NotNull>>
        + ExpressionMethods
        + Clone
        + Send
        + 'static,
{
}

/// What a key is made of, by name.
pub trait KeyColumns {
    /// As errors tell it.
    fn named() -> String;
}

impl<C: Column> KeyColumns for C {
    fn named() -> String {
        C::NAME.to_owned()
    }
}

/// Rows, each with its key.
pub(super) type Page<K, R> = Vec<(K, R)>;

/// Something that reads rows of type `R` in pages.
#[diagnostic::on_unimplemented(
    message = "the rows of this `Keyset` cannot be read as `{R}` with keys of type `{K}`",
    note = "the closure of `spawn_each!` takes what the columns load as: name its type, as in `|customer: Customer|`, or say it with `.select(Customer::as_select())`",
    note = "the key loads as the type that its column is stored as, or the one that is named: `.key::<Type>()`"
)]
pub trait ReadPage<K, R>: Send {
    /// At most `limit` rows whose keys follow `after`, in order. Blocks.
    fn page(&self, after: Option<K>, limit: usize) -> Result<Page<K, R>, anyhow::Error>;

    /// The same once more.
    fn boxed(&self) -> Box<dyn ReadPage<K, R>>;
}

/// Everything that a page is read with.
#[derive(Clone, Debug)]
pub struct Reader<Q, PK, S, P> {
    pub(super) query: Q,
    pub(super) column: PK,
    pub(super) selection: S,
    pub(super) pool: P,
}

/// A query whose rows come as `(K, R)` over the connection `C`.
pub trait Load<C, PK, S, K, R> {
    /// The first `limit` rows in order of their keys.
    fn first(self, column: PK, selection: S, limit: i64, c: &mut C) -> QueryResult<Page<K, R>>;
}

impl<Q, C, PK, S, K, R> Load<C, PK, S, K, R> for Q
where
    PK: ExpressionMethods + Clone,
    (PK, S): Expression,
    Q: SelectDsl<(PK, S)>,
    Select<Q, (PK, S)>: OrderDsl<Asc<PK>>,
    Order<Select<Q, (PK, S)>, Asc<PK>>: LimitDsl,
    Limit<Order<Select<Q, (PK, S)>, Asc<PK>>>: LoadQuery<'static, C, (K, R)>,
{
    fn first(self, column: PK, selection: S, limit: i64, c: &mut C) -> QueryResult<Page<K, R>> {
        let selected = SelectDsl::select(self, (column.clone(), selection));
        let ordered = OrderDsl::order(selected, column.asc());
        LimitDsl::limit(ordered, limit).load(c)
    }
}

// The promises of `Keyset::new` are not asked for again: a query that breaks them is told once.
impl<Q, PK, S, P, K, R> ReadPage<K, R> for Reader<Q, PK, S, P>
where
    P: Connections,
    PK: Column<SqlType: SingleValue> + ExpressionMethods + Clone + Send + 'static,
    K: AsExpression<<PK as Expression>::SqlType>,
    Q: FilterDsl<Gt<PK, K>> + Load<P::Connection, PK, S, K, R> + Clone + Send + 'static,
    Filter<Q, Gt<PK, K>>: Load<P::Connection, PK, S, K, R>,
    S: Clone + Send + 'static,
{
    fn page(&self, after: Option<K>, limit: usize) -> Result<Page<K, R>, anyhow::Error> {
        let limit = i64::try_from(limit)?;
        let Self {
            query,
            column,
            selection,
            pool,
        } = self.clone();
        let mut connection = pool.lend()?;
        let rows = match after {
            None => query.first(column, selection, limit, &mut connection),
            Some(key) => {
                let rest = FilterDsl::filter(query, column.clone().gt(key));
                rest.first(column, selection, limit, &mut connection)
            }
        };
        rows.map_err(|error| told(error, PK::NAME))
    }

    fn boxed(&self) -> Box<dyn ReadPage<K, R>> {
        Box::new(self.clone())
    }
}

/// An error of a page. A null is told apart, since SQLite lets it into a key of text.
pub(super) fn told(error: Error, column: &str) -> anyhow::Error {
    match error {
        Error::DeserializationError(cause) if cause.is::<UnexpectedNullError>() => {
            let column = column.to_owned();
            KeysetError::Null { column }.into()
        }
        error => error.into(),
    }
}
