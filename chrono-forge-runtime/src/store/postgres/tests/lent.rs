//! Connections that an application lends go back as they came, whatever happened on them.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::{
    AnsiTransactionManager, InstrumentationEvent, SimpleConnection, TransactionManager,
};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::store::conformance::backend::postgres::Schema;
use crate::store::postgres::connection::{Purpose, Session, Source};
use crate::store::postgres::{Lender, PostgresOptions, PostgresStore};
use crate::store::{Store, StoreErrorKind};

type Shelf = Arc<Mutex<Vec<PgConnection>>>;

/// A pool that looks at nothing.
struct Lent(Option<PgConnection>, Shelf);

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.1.lock().unwrap().extend(self.0.take());
    }
}

fn lender(url: &str) -> (Lender, Shelf) {
    let (url, shelf) = (url.to_owned(), Shelf::default());
    let back = Arc::clone(&shelf);
    let lend = move || {
        let conn = PgConnection::establish(&url)?;
        Ok::<_, ConnectionError>(Lent(Some(conn), Arc::clone(&back)))
    };
    (Lender::new(20, lend), shelf)
}

/// A session over connections that are lent, straight and as before a pooler.
fn session(options: &PostgresOptions, pooler: bool) -> (Session, Source, Shelf) {
    let (lender, shelf) = lender(&options.url);
    let source = Source {
        options: Arc::new(PostgresOptions {
            pooler,
            ..options.clone()
        }),
        lender: Some(lender),
        servers: Arc::default(),
    };
    (source.session(Purpose::Write), source, shelf)
}

fn is_marked(conn: &mut PgConnection) -> bool {
    let status = AnsiTransactionManager::transaction_manager_status_mut(conn);
    status.transaction_depth().is_err()
}

fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    let count = diesel::dsl::sql::<BigInt>(sql);
    diesel::select(count).get_result(conn).unwrap()
}

/// A lock that nobody but the transaction has, and that goes with it.
const LOCK: &str = "SELECT pg_advisory_xact_lock(772001)";
const LOCKED: &str =
    "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 772001)";

#[test]
fn what_was_begun_is_rolled_back_before_it_goes_back() {
    skip_without_server!();
    let schema = Schema::new();
    let options = schema.options();
    let mut beside = PgConnection::establish(&options.url).unwrap();
    for pooler in [false, true] {
        let (mut session, _, shelf) = session(&options, pooler);
        let panics = catch_unwind(AssertUnwindSafe(|| {
            session.transaction("test", Duration::ZERO, false, |conn| -> QueryResult<()> {
                conn.batch_execute(LOCK)?;
                panic!("amid a transaction")
            })
        }));
        assert!(panics.is_err());
        let mut back = shelf.lock().unwrap().pop().unwrap();
        assert!(is_marked(&mut back), "a pool of Diesel's replaces it");
        assert_eq!(number(&mut beside, LOCKED), 0);
    }
}

/// The statements that are sent for one look without a transaction, and for one in a transaction.
fn sent(session: &mut Session) -> Vec<String> {
    let sent = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&sent);
    session
        .connect()
        .unwrap()
        .set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                heard.lock().unwrap().push(query.to_string());
            }
        });
    let one = |conn: &mut PgConnection| conn.batch_execute("SELECT 1");
    session.single("test", Duration::ZERO, one).unwrap();
    session
        .transaction("test", Duration::ZERO, true, one)
        .unwrap();
    std::mem::take(&mut *sent.lock().unwrap())
}

#[test]
fn a_lent_connection_is_sent_what_an_own_one_is() {
    skip_without_server!();
    let schema = Schema::new();
    let options = schema.options();
    let own = Source {
        options: Arc::new(options.clone()),
        lender: None,
        servers: Arc::default(),
    };
    let begun = ["BEGIN", "SELECT 1", "COMMIT"];
    assert_eq!(sent(&mut own.session(Purpose::Write))[1..], begun);
    for purpose in [Purpose::Write, Purpose::Beat, Purpose::Call, Purpose::Read] {
        let (lender, _) = lender(&options.url);
        let lent = Source {
            lender: Some(lender),
            ..own.clone()
        };
        let (of_own, of_lent) = (own.session(purpose), lent.session(purpose));
        let [of_own, of_lent] = [of_own, of_lent].map(|mut session| sent(&mut session));
        assert_eq!(of_lent, of_own, "{purpose:?}");
    }
    // Before a pooler each transaction is told its settings, with the words that begin it.
    for is_lent in [false, true] {
        let (lent, mut before, _) = session(&options, true);
        before.lender = before.lender.filter(|_| is_lent);
        drop(lent);
        let sent = sent(&mut before.session(Purpose::Write));
        assert_eq!(sent.len(), 6, "{sent:#?}");
        for transaction in sent.chunks(3) {
            assert!(transaction[0].starts_with("BEGIN; SET LOCAL "), "{sent:#?}");
            assert_eq!(transaction[1..], ["SELECT 1", "COMMIT"]);
        }
    }
}

/// No word is waited for: the server that was left may be one that is gone.
#[test]
fn a_connection_to_a_server_that_was_left_goes_back_untouched_and_marked() {
    skip_without_server!();
    let schema = Schema::new();
    let (mut session, source, shelf) = session(&schema.options(), false);
    session.connect().unwrap();
    source.servers.leave();
    session.connect().unwrap();
    let mut back = shelf.lock().unwrap().pop().unwrap();
    assert!(is_marked(&mut back));
    let path = "SELECT current_setting('search_path') AS name";
    #[derive(QueryableByName)]
    struct Path {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    // Its settings are still the engine's.
    *AnsiTransactionManager::transaction_manager_status_mut(&mut back) = Default::default();
    let path: Path = diesel::sql_query(path).get_result(&mut back).unwrap();
    assert!(path.name.contains(&source.options.schema), "{}", path.name);
}

#[test]
fn a_url_that_leads_to_another_database_than_the_pool_is_no_ear() {
    skip_without_server!();
    let schema = Schema::new();
    let options = schema.options();
    let mut conn = PgConnection::establish(&options.url).unwrap();
    let other = format!("{}_elsewhere", options.schema);
    conn.batch_execute(&format!("CREATE DATABASE {other}"))
        .unwrap();
    let (lender, _) = lender(&options.url);
    let elsewhere = PostgresOptions {
        url: format!("{}&dbname={other}", options.url),
        names_a_server: true,
        ..options
    };
    let store = PostgresStore::open_lent(elsewhere, lender).unwrap();
    let refused = store.listener().map(drop).unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Refused, "{refused}");
    assert!(
        refused.message.contains("name the same one in both"),
        "{refused}"
    );
    // And nobody goes over to it.
    store.writer().unwrap();
    conn.batch_execute(&format!("DROP DATABASE {other} WITH (FORCE)"))
        .unwrap();
}
