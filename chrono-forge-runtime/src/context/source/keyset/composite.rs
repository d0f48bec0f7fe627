//! Keys of two to four columns: compared as the row that they are, so that an index of all of them
//! is walked from the cursor on, however many rows share their first columns.

use std::fmt::{self, Display};

use diesel::dsl::{Asc, Filter, Limit, Order, Select};
use diesel::expression::is_aggregate;
use diesel::expression::{
    AppearsOnTable, AsExpression, Expression, SelectableExpression, ValidGrouping,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::query_dsl::LoadQuery;
use diesel::query_dsl::methods::{FilterDsl, LimitDsl, OrderDsl, SelectDsl};
use diesel::sql_types::{Bool, SingleValue, SqlType, is_nullable};
use diesel::{Column, ExpressionMethods, QueryResult, RunQueryDsl, Table};
use serde::{Deserialize, Serialize};

use super::Connections;
use super::key::{KeyOf, Natural, NaturalKey, RowKey};
use super::query::{KeyColumns, Page, ReadPage, Reader, told};

/// The columns of such a key.
#[derive(Clone, Copy, Debug)]
pub struct Columns<T>(pub(super) T);

/// A key of several columns, as a tuple. Its text has commas in between: `17,3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompositeKey<T>(pub T);

/// The columns that are the primary key of `Tab`, as a tuple in their order there.
#[diagnostic::on_unimplemented(
    message = "these are not the primary key columns of `{Tab}`",
    note = "name all of them, two to four, in the order of the table's `table!`: `Keyset::composite(lines::table, (lines::order_id, lines::line_no))`"
)]
pub trait CompositeKeyOf<Tab>: Clone + Send + 'static {}

/// Columns that are behind values, all of them compared as one row.
#[derive(Clone, Copy, Debug)]
pub struct Behind<C, V> {
    columns: C,
    values: V,
}

impl<C: Expression, V: Expression> Expression for Behind<C, V> {
    type SqlType = Bool;
}

impl<C, V, QS> AppearsOnTable<QS> for Behind<C, V>
where
    Self: Expression,
    C: AppearsOnTable<QS>,
    V: AppearsOnTable<QS>,
{
}

impl<C, V, QS> SelectableExpression<QS> for Behind<C, V>
where
    Self: AppearsOnTable<QS>,
    C: SelectableExpression<QS>,
    V: SelectableExpression<QS>,
{
}

impl<C, V, G> ValidGrouping<G> for Behind<C, V> {
    type IsAggregate = is_aggregate::No;
}

impl<C: QueryId, V: QueryId> QueryId for Behind<C, V> {
    type QueryId = Behind<C::QueryId, V::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = C::HAS_STATIC_QUERY_ID && V::HAS_STATIC_QUERY_ID;
}

impl<DB, C, V> QueryFragment<DB> for Behind<C, V>
where
    DB: diesel::backend::Backend,
    C: QueryFragment<DB>,
    V: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("(");
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(") > (");
        self.values.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

/// A part of a key as text that cannot be taken for two.
fn part(text: &str) -> String {
    text.replace('\\', r"\\").replace(',', r"\,")
}

/// A query whose rows come with their keys, over the connection `C`.
pub trait LoadComposite<C, PK, S, K, R> {
    /// The first `limit` rows in order of their keys.
    fn first(self, columns: PK, selection: S, limit: i64, c: &mut C) -> QueryResult<Page<K, R>>;
}

macro_rules! keys_of {
    ($($column:ident $key:ident $value:ident $at:tt),+) => {
        impl<Tab, $($column),+> CompositeKeyOf<Tab> for ($($column,)+)
        where
            Tab: Table<PrimaryKey = ($($column,)+)>,
            $($column: Column<Table = Tab, SqlType: SingleValue + SqlType<IsNull = is_nullable::NotNull>>
                + ExpressionMethods + Clone + Send + 'static,)+
        {
        }

        impl<$($column: Column),+> KeyColumns for Columns<($($column,)+)> {
            fn named() -> String {
                [$($column::NAME),+].join(", ")
            }
        }

        impl<$($column),+> KeyOf<Columns<($($column,)+)>> for Natural
        where
            $($column: Expression, $column::SqlType: NaturalKey,)+
        {
            type Key = CompositeKey<($(<$column::SqlType as NaturalKey>::Key,)+)>;
        }

        impl<$($key: Display),+> Display for CompositeKey<($($key,)+)> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let parts = [$(part(&self.0.$at.to_string())),+];
                f.write_str(&parts.join(","))
            }
        }

        impl<Q, C, S, R, $($column, $key),+> LoadComposite<C, ($($column,)+), S, ($($key,)+), R> for Q
        where
            $($column: ExpressionMethods + Clone,)+
            (($($column,)+), S): Expression,
            Q: SelectDsl<(($($column,)+), S)>,
            Select<Q, (($($column,)+), S)>: OrderDsl<($(Asc<$column>,)+)>,
            Order<Select<Q, (($($column,)+), S)>, ($(Asc<$column>,)+)>: LimitDsl,
            Limit<Order<Select<Q, (($($column,)+), S)>, ($(Asc<$column>,)+)>>:
                LoadQuery<'static, C, (($($key,)+), R)>,
        {
            fn first(
                self,
                columns: ($($column,)+),
                selection: S,
                limit: i64,
                c: &mut C,
            ) -> QueryResult<Page<($($key,)+), R>> {
                let order = ($(columns.$at.clone().asc(),)+);
                let selected = SelectDsl::select(self, (columns, selection));
                LimitDsl::limit(OrderDsl::order(selected, order), limit).load(c)
            }
        }

        impl<Q, S, P, R, $($column, $key),+> ReadPage<CompositeKey<($($key,)+)>, R>
            for Reader<Q, Columns<($($column,)+)>, S, P>
        where
            P: Connections,
            $($column: Column<SqlType: SingleValue> + ExpressionMethods + Clone + Send + 'static,)+
            $($key: AsExpression<<$column as Expression>::SqlType> + Clone + 'static,)+
            CompositeKey<($($key,)+)>: RowKey,
            Q: FilterDsl<Behind<($($column,)+), ($(<$key as AsExpression<<$column as Expression>::SqlType>>::Expression,)+)>>
                + LoadComposite<P::Connection, ($($column,)+), S, ($($key,)+), R> + Clone + Send + 'static,
            Filter<Q, Behind<($($column,)+), ($(<$key as AsExpression<<$column as Expression>::SqlType>>::Expression,)+)>>:
                LoadComposite<P::Connection, ($($column,)+), S, ($($key,)+), R>,
            S: Clone + Send + 'static,
        {
            fn page(
                &self,
                after: Option<CompositeKey<($($key,)+)>>,
                limit: usize,
            ) -> Result<Page<CompositeKey<($($key,)+)>, R>, anyhow::Error> {
                let limit = i64::try_from(limit)?;
                let Self { query, column: Columns(columns), selection, pool } = self.clone();
                let mut connection = pool.lend()?;
                let rows = match after {
                    None => query.first(columns, selection, limit, &mut connection),
                    Some(CompositeKey(($($value,)+))) => {
                        let values = ($(AsExpression::<<$column as Expression>::SqlType>::as_expression($value),)+);
                        let behind = Behind { columns: columns.clone(), values };
                        FilterDsl::filter(query, behind).first(columns, selection, limit, &mut connection)
                    }
                };
                let rows = rows.map_err(|error| told(error, &<Columns<($($column,)+)>>::named()))?;
                Ok(rows.into_iter().map(|(key, row)| (CompositeKey(key), row)).collect())
            }

            fn boxed(&self) -> Box<dyn ReadPage<CompositeKey<($($key,)+)>, R>> {
                Box::new(self.clone())
            }
        }
    };
}

keys_of!(A KA a 0, B KB b 1);
keys_of!(A KA a 0, B KB b 1, D KD d 2);
keys_of!(A KA a 0, B KB b 1, D KD d 2, E KE e 3);

#[cfg(test)]
mod tests {
    use super::CompositeKey;

    #[test]
    fn different_keys_display_differently() {
        let text = |a: &str, b: &str| CompositeKey((a.to_owned(), b.to_owned())).to_string();
        assert_eq!(CompositeKey((17, 3)).to_string(), "17,3");
        assert_ne!(text("a,b", "c"), text("a", "b,c"));
        assert_ne!(text("a\\", "b"), text("a", "\\b"));
        assert_ne!(text("a\\", ",b"), text("a", "\\,,b"));
    }
}
