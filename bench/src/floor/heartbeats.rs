//! What others see of a worker's heartbeat.

#[cfg(feature = "postgres")]
use super::server;
use crate::place::Place;

/// Somebody else's connection.
pub enum Look {
    File(rusqlite::Connection),
    #[cfg(feature = "postgres")]
    Server(diesel::pg::PgConnection),
}

impl Look {
    pub fn at(place: &Place) -> anyhow::Result<Self> {
        match place {
            Place::File(path) => Ok(Self::File(rusqlite::Connection::open(path)?)),
            #[cfg(feature = "postgres")]
            Place::Schema(url) => Ok(Self::Server(server::connect_in_schema(url)?)),
        }
    }

    /// When the newest heartbeat says that it was, in microseconds.
    pub fn newest(&mut self) -> anyhow::Result<i64> {
        match self {
            Self::File(conn) => {
                let sql = "SELECT max(heartbeat_at) FROM chrono_forge_workers";
                Ok(conn.query_row(sql, (), |row| row.get(0))?)
            }
            #[cfg(feature = "postgres")]
            Self::Server(conn) => server::number(
                conn,
                "SELECT (extract(epoch FROM max(heartbeat_at)) * 1000000)::bigint AS number
                FROM chrono_forge_workers",
            ),
        }
    }
}
