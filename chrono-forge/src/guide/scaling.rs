//! Past one machine: PostgreSQL, any number of worker processes on any number of hosts.
//!
//! # When
//!
//! One SQLite file serves one machine, and serves it fast: the engine writes beside the application, without a round
//! trip. Take PostgreSQL when a second machine has to work on the same runs, when a machine may be lost with its disk,
//! or when your data is there already. Workflows do not change; the URL does:
//!
//! ```no_run
//! # use chrono_forge::prelude::*;
//! # async fn example() -> Result<()> {
//! let forge = Forge::open("postgres://app@db.internal/app?schema=forge&sslmode=verify-full").await?;
//! # Ok(())
//! # }
//! ```
//!
//! The feature is `postgres`, over the libpq that is installed, or `postgres-bundled`, which builds libpq and its TLS from
//! source where none is. Both can be on beside `sqlite`: the URL decides.
//!
//! # The URL
//!
//! `postgres://[user[:password]@]host[:port][,host2..]/database?parameters`. These parameters are ours, all others are
//! libpq's (`sslmode`, `sslrootcert`, `target_session_attrs`, `connect_timeout`, ..):
//!
//! | parameter | default | meaning |
//! |---|---|---|
//! | `schema` | `chrono_forge` | where our tables live; created by the first process that may migrate |
//! | `writers` | 2 | connections that commit at the same time; [`.writers(..)`](crate::Builder::writers) overrides it |
//! | `readers` | 4 | connections that read at the same time; [`.readers(..)`](crate::Builder::readers) overrides it |
//! | `notify` | `on` | call out to other processes with `NOTIFY`; `off` polls |
//! | `pooler` | `none` | `transaction` where a pooler in transaction mode is in between (`session` is like `none`) |
//!
//! Each application has a schema of its own: processes of one application (an API and its workers,
//! an old and a new build) share a schema; two applications have two, in one database or in
//! several. In one schema the name of a workflow belongs to one application, the one that served,
//! started or spawned it first: the Cargo package of its function, or what
//! [`.application(..)`](crate::Builder::application) says. Whoever else has a function of that name
//! is refused with [`Error::OtherApplication`](crate::Error::OtherApplication), as a worker at
//! `open`, otherwise where it starts or asks for a run; both names are told, and what to do. A run
//! that spawns such a child fails. So two applications whose workflows have different names can
//! share one, as can a package of workflows that several services link. Queues, operators' queries
//! and `retry_all` know no applications: in a schema that is shared they are about all of it.
//! `chrono_forge_applications` has the names; to give one away, delete its row while no process
//! that serves, starts or spawns it is open.
//!
//! A worker that meets a run whose arguments it cannot read leaves it to others while nothing of it
//! is recorded, and warns; from the first record on such a run stalls.
//!
//! # What is shared, and how
//!
//! Processes know nothing of each other. A worker claims due runs and skips those that another one
//! has locked. Every claim gives the run a number (its epoch), and every commit locks the run's row
//! and checks that the number is still the one of its claim: that is the fence. A worker renews its
//! lease (10 s) every 2.5 s on a connection and from a thread of its own, which neither commits nor
//! steps delay. Whoever sees that a heartbeat has not changed for the lease in that worker's row
//! takes it all back in one transaction: the runs are due again, under a new epoch, and whatever
//! the silent one still sends is turned away. Workers with different leases may work beside each
//! other.
//!
//! So a worker may be killed, frozen, or cut off from the network at any moment, and so may the server. What was
//! acknowledged is there; a step that was under way runs again elsewhere, within twice the lease. A worker that
//! has not renewed its lease for two thirds of it begins nothing any more; what executes goes on, and counts unless the
//! database says that it was taken over. A worker that was, comes back under a new name.
//!
//! Instants are those of the database: every worker corrects its clock by it, and a host whose clock is wrong, or is set
//! while it works, changes nothing. If the database's own clock is set (SQLite: the host's), nothing is repeated or cut off,
//! and only what waits for an instant notices: it ends when the clock reaches that instant. What is due at once has no
//! instant. In the column `wake_at` it stands 4,000 years before its arrival, so `wake_at < '0001-01-01 BC'` means "at
//! once", and `wake_at + interval '35063280 hours'` since when (SQLite counts microseconds: below `-62167219200000000`,
//! plus `126227808000000000`).
//!
//! Runs of one level go in the order in which they became due, whatever they waited for. Nothing that the store hides is
//! taken for missing: with row-level security in force for its role, without a right, or without an index, an engine is
//! not opened, or says what it lacks and waits.
//!
//! # Connections
//!
//! A process opens `writers` + `readers` (4) connections as it needs them, one for claims and the
//! calls of operators, one for heartbeats, and one that listens: 9 with the defaults, 8 with
//! `notify=off`. `.readers(1)` and `writers=1` give 5. A process that only starts and reads keeps
//! two that write and none for heartbeats: 7. `shutdown()` closes all of them. While somebody keeps
//! a row locked (below) a process opens one more for calls that wait for it, and a worker another
//! for what it sets aside. So the 100 connections that PostgreSQL allows by default do for ten
//! processes. More slots in one process (`.queue("default", 64)`) cost no connection; more
//! processes want a larger `max_connections`, fewer readers, or a pooler.
//!
//! Every statement that writes has a time limit: none of them, and no pause between two, lasts half as long as a lease (a
//! migration may take its time). So the server rolls back what a frozen or cut-off worker left open. A lost connection is opened again, with pauses that grow to a quarter of a second;
//! runs wait meanwhile and are not harmed.
//!
//! What cannot be written for now holds up nobody else: where a row is locked by somebody (a
//! session left open in a console), the writes of that run are set aside with all that follows of
//! it, and tried again after pauses that grow to half a lease (5 seconds at most), however long it
//! takes. Only a write that by itself runs into the time limit of a statement, ten times, while
//! others are written and nobody is in its way, ends its run: as failed, with the server's words
//! and the remedy. Nothing else that a healthy database would have taken does, unless the server's
//! errors are in a language other than English (below).
//!
//! An application that has a pool of its own can lend from it:
//! `Forge::builder("postgres://?schema=forge").database_pool(pool)` takes Diesel's r2d2 pool of
//! `PgConnection`, keeps what it borrows (8 of the above, and 2 more while a row is locked), and
//! says at `open` if the pool is too small. What it borrows is told our search path and time
//! limits, and given back with what it had. Where the URL names a server
//! (`postgres://app@db/app?schema=forge`) the engine opens one connection beside the pool, to hear
//! other processes.
//!
//! TLS is libpq's: `sslmode=verify-full&sslrootcert=/etc/ssl/db.crt` in the URL trusts that authority only.
//!
//! # Poolers
//!
//! A pooler in session mode is like no pooler. In transaction mode a session is somebody else's after each transaction:
//! write `pooler=transaction`, and nothing is left in one. Prepared statements are not kept then and calls between processes
//! do not pass, so both the work and the wake-ups of other processes cost more; give workers a direct way if there is one.
//!
//! # Deploys
//!
//! While two builds run beside each other, or after one was taken back, a run may meet a value that
//! the build at hand cannot read: an enum's new variant, say. It then **stalls** with the text, the
//! place and the type (a run that has recorded nothing yet is left to other workers, see above),
//! and nothing is lost; once a build is out that reads it,
//! [`Forge::retry_all`](crate::Forge::retry_all) sends such runs on. To avoid it, deploy what reads
//! a new form before what writes it.
//!
//! A worker claims only workflows that it has registered, so binaries of different ages work side by side: runs of a workflow that only the new
//! one knows wait for it. `forge.unserved(..)` lists what is due and known to no live worker, the report at start-up logs it, and
//! `run.result()` of such a run, or of one that waits for it as its child, ends in
//! [`RunError::Unserved`](crate::RunError::Unserved) once nobody has served it for a lease; the run waits on. `forge.serve()` runs until SIGTERM, then claims nothing more, lets steps come to their
//! end within the grace and hands the rest back; others take it up at once.
//!
//! A shutdown belongs to the engine: it goes on to its end whoever asked for it is gone (a `timeout` around
//! [`Forge::shutdown`](crate::Forge::shutdown), say), and everybody who asks returns when it is there. What is started meanwhile
//! waits for another worker. If a part of an engine dies, all of it stops, hands its runs back and answers every call with
//! [`Error::Stopped`](crate::Error::Stopped); `serve` returns with it, so that the process may end and be started anew. An
//! engine lives on the runtime that it was opened on and ends with it
//! ([`Error::RuntimeGone`](crate::Error::RuntimeGone)): one for each runtime.
//!
//! A migration keeps nobody from work: it waits for no lock longer than others can wait behind it,
//! and tries again (the guide [`operating_postgres`](super::operating_postgres) says how).
//!
//! A binary refuses a database that is newer than it knows, unless the newer migrations say that
//! they only add: then a worker of the release before that restarts in the middle of a deploy goes
//! on. The order is: migrate, then deploy. The CHANGELOG names the migrations that older binaries
//! do not run on; before one of those, stop all workers. With
//! [`Builder::verify_only`](crate::Builder::verify_only) a process never changes the schema and
//! refuses one that is older than it needs. Unless told so, every `open` brings the schema up to
//! date, if its role may. Before the first migration the owner makes the schema, and grants what
//! the role of workers needs, for tables of later migrations, too:
//!
//! ```sql
//! CREATE SCHEMA forge;
//! GRANT USAGE ON SCHEMA forge TO app;
//! ALTER DEFAULT PRIVILEGES IN SCHEMA forge GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
//! ALTER DEFAULT PRIVILEGES IN SCHEMA forge GRANT USAGE ON SEQUENCES TO app;
//! ```
//!
//! For tables that are there already it is `GRANT .. ON ALL TABLES IN SCHEMA forge TO app` and `GRANT USAGE ON ALL SEQUENCES ..`.
//! To migrate, open the database once under a role that may, by a process that executes nothing:
//!
//! ```no_run
//! # use chrono_forge::prelude::*;
//! # async fn example() -> Result<()> {
//! let url = "postgres://owner@db.internal/app?schema=forge";
//! Forge::builder(url).worker(false).open().await?.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A right that is lost while a worker works fails no run: the log says what to grant, every 10
//! seconds at most, `forge.start(..)` and `run.result()` give the same as `Error::Store`, and what
//! waits is written once the right is back. So it is with a password that was changed. A server
//! that is away, full or without room for another connection is waited for, with a warning, and at
//! `open` too, for 15 s ([`open_timeout`](crate::Builder::open_timeout)), so that a service may be
//! started before its server.
//!
//! # Autovacuum and the fill factor
//!
//! A run's row is written three times: started, claimed, completed. Its table is created with a fill factor of 45: the versions
//! of a row find room on its own page, and a completion touches no index (a HOT update). What that is worth, measured after a
//! fan-out of 1,000,000 children of one step by one process, beside the same with a fill factor of 100:
//!
//! | | 45 (ours) | 100 |
//! |---|---|---|
//! | table of runs, its indexes | 420 MB, 214 MB | 508 MB, 217 MB |
//! | completions that touch no index | 98.7 % | 12 % |
//! | dead versions when the last child is done (`n_dead_tup`) | 865,000 | 1,765,000 |
//! | of these with their bytes still there (`pgstattuple`) | 21: 4 kB | 22,000: 4 MB |
//! | after one autovacuum, and after `VACUUM` | 0, as large | 0, as large |
//! | table of records, its indexes | 143 MB, 83 MB | 143 MB, 80 MB |
//!
//! So a finished child takes 665 bytes for its run and 237 for its record, and there is no bloat: pages clear themselves while they
//! are written, a vacuum has only their line pointers and index entries to clear, and what is free on them (52 %) is the fill
//! factor's. A claim does touch the indexes, since a claimed run leaves the queue. Autovacuum needs no setting of yours.
//! (PostgreSQL 15.20 as installed: `autovacuum` with a naptime of a minute and scale factors of 0.2, `shared_buffers` 128 MB, `fsync`
//! on; 81 s on two cores that did other work, too; sizes in MiB by `pg_relation_size`, updates by `pg_stat_user_tables`.)
//!
//! Do not add an index that names `state`, `locked_by`, `output`, `completed_at` or `updated_at`, in its predicate neither: every
//! completion would then write to every index of the table.
//!
//! # Failover
//!
//! Name all hosts in the URL: when the primary goes, connections are opened to the new one. A server that takes no writes is passed by
//! (`target_session_attrs=read-write`, unless the URL says otherwise), also where one name leads to the old primary for a while.
//! Of a pool of your own you tell that yourself.
//!
//! A process is with one server at a time. Each session asks which one it has reached (system
//! identifier and timeline; anybody may ask that unless an administrator has taken the right away).
//! When one reaches a server on a later timeline, a standby that was promoted, all sessions go over
//! to it, and the worker drops what it holds and enters anew there, since what it has seen may be
//! lost. It does so after a synchronous failover, too, where nothing was: steps that were under way
//! run again there, and nothing that is recorded does. To tell the two apart the worker would have
//! to know where in the server's log each commit that it has seen ended, and where the new timeline
//! left the old one. The first costs a question with each commit, and the second may be asked by
//! superusers only; that a standby is synchronous now does not say that it was at each of these
//! commits. Such steps have to be repeatable, as for any death of a process.
//!
//! A session that reaches a server that was left, or another database system, is closed, and an
//! error line names both: so a former primary that comes back, takes writes and stands first in the
//! URL gets nothing. It stays your task to stop it. Behind a pooler in transaction mode it is asked
//! with each heartbeat.
//!
//! What was acknowledged is as safe as your replication: an asynchronous replica may lack the last
//! transactions of the old primary, and then steps that it recorded run again. With
//! `synchronous_commit = on` and a synchronous replica nothing is lost. With `synchronous_commit`
//! or `fsync` off not even a single server keeps its word when it crashes: an engine that is opened
//! there warns. So it does where the server tells its errors in a language other than English,
//! which it cannot tell apart, so that a full disk or a missing right may fail the run that meets
//! it: `ALTER ROLE app SET lc_messages = 'C'`.
//!
//! # Databases that speak PostgreSQL
//!
//! The engine uses no advisory locks, no triggers, no extensions, and needs no `LISTEN` to be correct. It does use `FOR UPDATE SKIP
//! LOCKED`, writable common table expressions, `unnest` of several arrays, partial indexes and READ COMMITTED. Distributed
//! databases may refuse `LISTEN` (write `notify=off`), settings of the planner (`enable_seqscan`, ..), `idle_in_transaction_session_timeout`
//! or fill factors. None of them was tested; run the conformance suite against yours before you trust it:
//! `CHRONO_FORGE_TEST_POSTGRES_URL=.. cargo test -p chrono-forge-runtime --features postgres`.
//!
//! # From a file to PostgreSQL, and back
//!
//! Runs move with everything they need, in flight as they are: what is recorded is not done again, waits end when they would have,
//! a fan-out of which a third is done goes on with the rest. Workflows, keys and results stay; ids do not, and what the auditor
//! measured is measured anew.
//!
//! 1. Shut all workers of the old database down, and leave them down: from the export on its runs belong to the new one.
//! 2. Export to a file, by a process that executes nothing.
//! 3. Import it into an empty database (or schema), by a process that executes nothing. A database
//!    that has runs already takes the imported ones in, too. Nothing marks the exported runs as
//!    moved: where both stay (two schemas of one database), see that nobody works on the old one.
//! 4. Give workers the new URL.
//!
//! ```standalone_crate
//! use std::fs::File;
//! use std::io::BufReader;
//!
//! use chrono_forge::prelude::*;
//!
//! async fn transfer(from: &str, to: &str, file: &std::path::Path) -> Result<()> {
//!     let old = Forge::builder(from).worker(false).open().await?;
//!     old.export(&mut File::create(file)?).await?;
//!     let new = Forge::builder(to).worker(false).open().await?;
//!     let imported = new.import(BufReader::new(File::open(file)?)).await?;
//!     println!("{} runs moved", imported.runs);
//!     Ok(())
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let name = |end: &str| std::env::temp_dir().join(format!("cf-guide-{}.{end}", std::process::id()));
//! # let (old, new, file) = (name("old.db"), name("new.db"), name("jsonl"));
//! # let url = |path: &std::path::Path| format!("sqlite://{}", path.display());
//! # transfer(&url(&old), &url(&new), &file).await?;
//! # for path in [old, new, file] {
//! #     for end in ["", "-wal", "-shm"] {
//! #         let _ = std::fs::remove_file(format!("{}{end}", path.display()));
//! #     }
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! The example `transfer` is this as a program; it refuses a file that is there already and a database without runs. What keeps it safe:
//!
//! - Both calls refuse while a worker lives on their database, by number of the worker. One that
//!   was killed counts as alive until its lease is over, on SQLite until its lock is free.
//! - The file is one state of the database. `.while_running()` makes one of a database at work: to look into, or to keep, not to execute.
//! - The import looks through the whole file before it writes. A file that was cut off or lost
//!   lines, or whose lines do not fit together, is refused with its line. So is a run that exists
//!   already and is not to the last column the one of the file. A value that somebody changed by
//!   hand is taken as it is: the file has no checksum.
//! - Cut off itself, it goes on with the same file. Until then no worker opens on the new database: a parent whose children
//!   are not all there yet could go on without them. Once it is finished, the same file changes nothing any more.
//! - Values are text in the file as they are in the rows, byte for byte.
//!
//! The file has one line a run, a record, an error, each with the names of its columns (`jq` reads it). Memory stays flat: 35 MB at
//! 100,000 runs. While a file is written SQLite keeps what is committed meanwhile in its log, and PostgreSQL what would be vacuumed.
//!
//! The new database counts time by its own clock: a wait ends at the instant that was recorded.
//!
//! # Back-up and restore
//!
//! Any back-up of the database that is consistent is one of the runs: base back-up and log archive, `pg_dump` (also of a
//! database at work), a snapshot of the disk. Restored, the runs go on where the back-up has them, once the leases of the
//! workers in it are over. Steps that were recorded after it run again: their effects must bear that, as they must bear a
//! crash. Stop workers of the old database first. One that lives on, on a database that was set back under it, does no
//! harm to others' runs: ids are handed out again, but each claim has a lock with a random half, so whatever it still sends finds
//! nothing to write to; at its next heartbeat it lets go of what the database does not know, and if its own row is gone, or another
//! life's, of all, and enters anew. What was acknowledged after the copy was made is lost all the same.
//!
//! A logical replica gets rows and no sequences. When it takes over, sequences that are behind their rows are brought up to them at `open`
//! and at the first id that is taken, if the role may set them (`GRANT UPDATE ON ALL SEQUENCES`); otherwise the error names the
//! sequence and the statement to run.
