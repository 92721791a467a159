//! Why a database refused.

/// What a refusal means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    /// Somebody has a lock for longer than one waits.
    Locked,
    Conflict,
    /// A foreign key leads to nothing.
    Orphan,
    Corrupt,
    /// The login may not do it.
    Forbidden,
    Other,
}

/// SQLite's extended result code.
pub(crate) fn fault_of_result_code(code: i32) -> Fault {
    match code & 0xff {
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN
        5 | 6 | 7 | 8 | 10 | 13 | 14 => Fault::Unavailable,
        // CORRUPT, NOTADB
        11 | 26 => Fault::Corrupt,
        // CONSTRAINT, and of those FOREIGNKEY
        19 if code == 787 => Fault::Orphan,
        19 => Fault::Conflict,
        _ => Fault::Other,
    }
}

/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>
pub(crate) fn fault_of_sqlstate(code: &str) -> Fault {
    match code {
        // deadlock, serialization failure, query cancelled,
        // read-only, idle in transaction, no such database, too many connections
        "55P03" => Fault::Locked,
        "40P01" | "40001" | "57014" | "25006" | "25P03" | "3D000" => Fault::Unavailable,
        "42501" => Fault::Forbidden,
        code => match code.get(..2).unwrap_or_default() {
            // connection, login, resources, operator, system
            "08" | "28" | "53" | "57" | "58" => Fault::Unavailable,
            "23" if code == "23503" => Fault::Orphan,
            "23" => Fault::Conflict,
            "XX" => Fault::Corrupt,
            _ => Fault::Other,
        },
    }
}
