//! Statements over many rows, prepared once for a few sizes.

use rusqlite::{Connection, Result, Row, Statement, ToSql};

/// Rows per statement, largest first, as in the store.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// One text with its row in braces, `VALUES {(?, ?)}`, prepared for each chunk size.
pub struct Rows<'c> {
    chunks: Vec<(usize, Statement<'c>)>,
}

impl<'c> Rows<'c> {
    pub fn prepare(conn: &'c Connection, sql: &str) -> Result<Self> {
        let (head, rest) = sql.split_once('{').unwrap_or((sql, "}"));
        let (row, tail) = rest.split_once('}').unwrap_or(("", ""));
        let prepare = |size| {
            let rows = vec![row; size].join(",");
            Ok((size, conn.prepare(&format!("{head}{rows}{tail}"))?))
        };
        let chunks = CHUNKS.into_iter().map(prepare).collect::<Result<_>>()?;
        Ok(Self { chunks })
    }

    /// Binds the rows of these numbers and executes.
    pub fn execute(
        &mut self,
        numbers: impl ExactSizeIterator<Item = u64>,
        bind: impl FnMut(u64, &mut Binder<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        self.each_chunk(numbers, bind, |statement| statement.raw_execute().map(drop))
    }

    /// Binds the rows of these numbers and reads what they answer.
    pub fn query(
        &mut self,
        numbers: impl ExactSizeIterator<Item = u64>,
        bind: impl FnMut(u64, &mut Binder<'_, '_>) -> Result<()>,
        mut answer: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each_chunk(numbers, bind, |statement| {
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                answer(row)?;
            }
            Ok(())
        })
    }

    fn each_chunk(
        &mut self,
        mut numbers: impl ExactSizeIterator<Item = u64>,
        mut bind: impl FnMut(u64, &mut Binder<'_, '_>) -> Result<()>,
        mut run: impl FnMut(&mut Statement<'c>) -> Result<()>,
    ) -> Result<()> {
        for (size, statement) in &mut self.chunks {
            while numbers.len() >= *size {
                let mut binder = Binder {
                    statement,
                    place: 0,
                };
                for number in numbers.by_ref().take(*size) {
                    bind(number, &mut binder)?;
                }
                run(statement)?;
            }
        }
        Ok(())
    }
}

/// Binds values one after the other.
pub struct Binder<'b, 'c> {
    statement: &'b mut Statement<'c>,
    place: usize,
}

impl Binder<'_, '_> {
    pub fn push(&mut self, value: impl ToSql) -> Result<()> {
        self.place += 1;
        self.statement.raw_bind_parameter(self.place, value)
    }

    pub fn push_all<const N: usize>(&mut self, values: [i64; N]) -> Result<()> {
        values.into_iter().try_for_each(|value| self.push(value))
    }
}
