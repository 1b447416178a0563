//! The table as a page of documentation.

use std::fmt::{self, Write};

use super::{Support, table};

const HEAD: &str = "\
<!-- Written from the table in src/config/supported/. To write it anew after a change of the table:
     UPDATE_DOCS=1 cargo test supported_page -->

# What spanway supports of the Envoy API

A field that is not listed here is refused by its name, with the place where it is set. `--skip-unsupported` makes
that a warning, except for fields marked *always refused*: leaving them out would let something through. A field
that is explicitly `false` is never refused, unless only `true` is supported.

Fields of the protobuf types for durations, times, wrappers and structures are supported throughout.
";

/// The page `docs/supported.md`.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = write_table(&mut page);
    page
}

fn write_table(page: &mut String) -> fmt::Result {
    for message in table() {
        write!(page, "\n## {}", message.message)?;
        if let Some(place) = message.place {
            write!(page, " (in {place})")?;
        }
        writeln!(page, "\n")?;

        let honoured = message.rows.iter().filter(|row| matches!(row.support, Support::Honoured));
        let honoured: Vec<_> =
            honoured.flat_map(|row| row.fields).map(|field| format!("`{field}`")).collect();
        if !honoured.is_empty() {
            writeln!(page, "Honoured: {}.", honoured.join(", "))?;
        }
        let others: Vec<_> =
            message.rows.iter().filter(|row| !matches!(row.support, Support::Honoured)).collect();
        if others.is_empty() {
            continue;
        }
        if !honoured.is_empty() {
            writeln!(page)?;
        }
        writeln!(page, "| Field | |\n|---|---|")?;
        for row in others {
            let fields: Vec<_> = row.fields.iter().map(|field| format!("`{field}`")).collect();
            writeln!(page, "| {} | {} |", fields.join(", "), describe(&row.support))?;
        }
    }
    Ok(())
}

fn describe(support: &Support) -> String {
    let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match support {
        Support::Honoured => "honoured".to_owned(),
        Support::Only { values } => format!("honoured: {}; other values are refused", code(values)),
        Support::Holds { messages, guarded: false } => format!("holds {}", code(messages)),
        Support::Holds { messages, guarded: true } => {
            format!("holds {}; others are *always refused*", code(messages))
        }
        Support::NoEffect { reason } => format!("no effect: {reason}"),
        Support::Refused { hint, guarded: false } => format!("refused: {hint}"),
        Support::Refused { hint, guarded: true } => format!("*always refused*: {hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/supported.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "docs/supported.md is stale: UPDATE_DOCS=1 cargo test supported_page");
    }
}
