//! Substitution format strings (`%PROTOCOL%`, `%REQ(X-A?X-B):8%`), parsed once while configuration is lowered.
//!
//! Reference: Envoy, "Access logging", command operators. Evaluation is in `stream_info::formatter`.

pub(crate) mod command;
mod operators;
pub(crate) mod time_format;

use std::sync::Arc;

use super::{
    cel::{CelError, Dialect, Expression},
    metadata::Metadata,
};

pub(crate) use self::command::{Command, FormatHeader};

/// A parsed format string.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Format {
    /// Literals and commands in order.
    pub(crate) pieces: Vec<Piece>,
}

/// One part of a [`Format`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// Text that stands for itself.
    Literal(Arc<str>),
    /// A command operator, and the most bytes of its value that are used.
    Command(Command, Option<usize>),
}

/// Why a format string cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// A `%` opens a command that no `%` closes.
    #[error("a command opened by '%' at byte {0} is not closed; write '%%' for a percent sign")]
    Unterminated(usize),
    /// No such command, or none that spanway has.
    #[error("spanway has no format command '%{0}%'")]
    Unknown(String),
    /// A command of Envoy's that spanway does not have.
    #[error("spanway does not have Envoy's format command '%{0}%': {1}")]
    Refused(String, &'static str),
    /// An expression cannot be used.
    #[error("'%{0}%': {1}")]
    Cel(String, CelError),
    /// A command is written wrongly.
    #[error("'%{command}%': {reason}")]
    Malformed {
        /// What stands between the percent signs.
        command: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What is the same for all streams of a listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constants {
    /// `%LISTENER_NAME%`
    pub(crate) listener: Box<str>,
    /// `%FILTER_CHAIN_NAME%`
    pub(crate) filter_chain: Box<str>,
    /// `node.id`
    pub(crate) node_id: Box<str>,
    /// `node.cluster`
    pub(crate) node_cluster: Box<str>,
    /// `Listener.traffic_direction`, by its number.
    pub(crate) direction: i64,
    /// `%METADATA(LISTENER:...)%`
    pub(crate) listener_metadata: Metadata,
    /// `%METADATA(LISTENER_FILTER_CHAIN:...)%`
    pub(crate) filter_chain_metadata: Metadata,
}

impl Format {
    /// Parse `text`; `%HOSTNAME%`, `%ENVIRONMENT(X)%` and names of `constants` become literals, since they do not change.
    pub(crate) fn parse(text: &str, constants: &Constants) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            let start = text.len() - after.len() - 1;
            let Some((inside, behind)) = split_command(after) else {
                return Err(FormatError::Unterminated(start));
            };
            rest = behind;
            if inside.is_empty() {
                literal.push('%');
                continue;
            }
            match parse_command(inside, constants)? {
                Parsed::Constant(text) => literal.push_str(&text),
                Parsed::Piece(piece) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                    }
                    pieces.push(piece);
                }
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self { pieces })
    }

    /// Its commands, and those that stand in them.
    pub(crate) fn commands(&self) -> Vec<&Command> {
        let mut commands = Vec::new();
        add_commands(&self.pieces, &mut commands);
        commands
    }

    /// The text, if it holds no command.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

fn add_commands<'a>(pieces: &'a [Piece], to: &mut Vec<&'a Command>) {
    for piece in pieces {
        if let Piece::Command(command, _) = piece {
            to.push(command);
            if let Command::Coalesce(alternatives) = command {
                add_commands(alternatives, to);
            }
        }
    }
}

/// Split `after` (what follows an opening `%`) at the closing one; a `%` inside parentheses does not close.
fn split_command(after: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    for (at, letter) in after.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '%' if depth == 0 => return Some((after.get(..at)?, after.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// What stands between two percent signs.
enum Parsed {
    /// A text that does not change.
    Constant(String),
    /// A command.
    Piece(Piece),
}

fn parse_command(inside: &str, constants: &Constants) -> Result<Parsed, FormatError> {
    let malformed = |reason| FormatError::Malformed { command: inside.to_owned(), reason };
    // NAME, NAME(ARGUMENTS), NAME(ARGUMENTS):LENGTH
    let (head, limit) = match inside.rsplit_once(':') {
        Some((head, digits)) if head.ends_with(')') || !head.contains('(') => {
            let limit = digits.parse().map_err(|_| malformed("the length after ':' is not a number"))?;
            (head, Some(limit))
        }
        _ => (inside, None),
    };
    let (name, arguments) = match head.split_once('(') {
        Some((name, rest)) => {
            (name, Some(rest.strip_suffix(')').ok_or_else(|| malformed("the parenthesis is not closed"))?))
        }
        None => (head, None),
    };
    let parsed = resolve(name, arguments, limit, constants);
    parsed.map_err(|wrong| match wrong {
        operators::Wrong::Unknown => FormatError::Unknown(inside.to_owned()),
        operators::Wrong::Refused(reason) => FormatError::Refused(inside.to_owned(), reason),
        operators::Wrong::Malformed(reason) => malformed(reason),
        operators::Wrong::Cel(error) => FormatError::Cel(inside.to_owned(), error),
    })
}

/// The command of that name.
fn resolve(
    name: &str,
    arguments: Option<&str>,
    limit: Option<usize>,
    constants: &Constants,
) -> Result<Parsed, operators::Wrong> {
    let no_length = operators::Wrong::Malformed("it takes no length");
    let arguments = arguments.filter(|arguments| !arguments.is_empty());
    if let Some(text) = constant_command(name, arguments, constants) {
        return match limit {
            None => Ok(Parsed::Constant(text)),
            Some(limit) if name == "ENVIRONMENT" => Ok(Parsed::Constant(truncate(&text, limit).to_owned())),
            Some(_) => Err(no_length),
        };
    }
    let command = match (name, arguments) {
        ("CEL", Some(text)) => {
            let expression = Expression::parse(text, Dialect::AccessLog(constants));
            Command::Cel(Arc::new(expression.map_err(operators::Wrong::Cel)?))
        }
        ("COALESCE", Some(arguments)) => Command::Coalesce(coalesce(arguments, constants)?),
        ("METADATA", Some(arguments)) if arguments.starts_with("LISTENER") => {
            operators::constant_metadata(arguments, constants)?
        }
        _ => operators::read(name, arguments)?,
    };
    if limit.is_some() && !command.takes_length() {
        return Err(no_length);
    }
    Ok(Parsed::Piece(Piece::Command(command, limit)))
}

/// `{"operators": ["NAME", {"command": "NAME", "param": "ARGUMENTS", "max_length": 8}]}`
fn coalesce(arguments: &str, constants: &Constants) -> Result<Vec<Piece>, operators::Wrong> {
    let malformed = operators::Wrong::Malformed;
    let json: serde_json::Value = serde_json::from_str(arguments)
        .map_err(|_| malformed("what stands in its parentheses is no JSON"))?;
    let Some(operators) = json.get("operators").and_then(serde_json::Value::as_array) else {
        return Err(malformed("it takes a list of \"operators\""));
    };
    if operators.is_empty() {
        return Err(malformed("its list of \"operators\" is empty"));
    }
    let alternative = |operator: &serde_json::Value| {
        let member = |name| operator.get(name).filter(|member| !member.is_null());
        let text = |member: &serde_json::Value| member.as_str().map(str::to_owned);
        let name = text(operator).or_else(|| text(member("command")?));
        let name = name.ok_or(malformed("an operator is a name, or an object with a \"command\""))?;
        let param = match member("param") {
            Some(param) => Some(text(param).ok_or(malformed("a \"param\" is a text"))?),
            None => None,
        };
        let limit = match member("max_length") {
            Some(limit) => {
                let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
                Some(limit.ok_or(malformed("a \"max_length\" is a number"))?)
            }
            None => None,
        };
        if name == "COALESCE" {
            return Err(malformed("it does not stand in itself"));
        }
        Ok(match resolve(&name, param.as_deref(), limit, constants)? {
            Parsed::Constant(text) => Piece::Literal(text.into()),
            Parsed::Piece(piece) => piece,
        })
    };
    operators.iter().map(alternative).collect()
}

/// Commands whose value is known at once.
fn constant_command(name: &str, arguments: Option<&str>, constants: &Constants) -> Option<String> {
    match (name, arguments) {
        ("HOSTNAME", None) => {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "-".into());
            Some(name.trim().to_owned())
        }
        ("ENVIRONMENT", Some(variable)) => Some(std::env::var(variable).unwrap_or_else(|_| "-".into())),
        ("LISTENER_NAME", None) => Some(constants.listener.to_string()),
        // Without a name it has no value, which JSON tells from an empty one.
        ("FILTER_CHAIN_NAME", None) => {
            Some(constants.filter_chain.to_string()).filter(|name| !name.is_empty())
        }
        // There is one only while a local reply is written, which sees to it itself.
        ("LOCAL_REPLY_BODY", None) => Some(String::new()),
        _ => None,
    }
}

/// The first `limit` bytes, or fewer so as not to cut a character.
pub(crate) fn truncate(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    (0..=limit).rev().find_map(|at| text.get(..at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Format, FormatError> {
        Format::parse(text, &Constants::default())
    }

    #[test]
    fn truncation_never_cuts_a_character() {
        assert_eq!(truncate("añb", 2), "a");
        assert_eq!(truncate("abc", 8), "abc");
    }

    #[test]
    fn literals_commands_and_doubled_percent_signs_are_told_apart() {
        let format = parse("a%%b%PROTOCOL%-%REQ(X-A?:path):3%").expect("parses");
        assert_eq!(
            format.pieces,
            vec![
                Piece::Literal("a%b".into()),
                Piece::Command(Command::Protocol, None),
                Piece::Literal("-".into()),
                Piece::Command(
                    Command::RequestHeader(
                        FormatHeader::Name(HeaderName::from_static("x-a")),
                        Some(FormatHeader::Path)
                    ),
                    Some(3)
                ),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(parse("x%PROTOCOL"), Err(FormatError::Unterminated(1)));
        assert_eq!(parse("%NOPE%"), Err(FormatError::Unknown("NOPE".into())));
        assert!(matches!(parse("%REQ(a b)%"), Err(FormatError::Malformed { .. })));
        assert!(matches!(parse("%REQ(a):x%"), Err(FormatError::Malformed { .. })));
        assert_eq!(parse("%LISTENER_NAME%").expect("parses").as_literal(), Some(""));
        assert!(matches!(parse("%CEL(nope)%"), Err(FormatError::Cel(..))));
        assert!(matches!(parse("%REQ()%"), Err(FormatError::Malformed { .. })));
        assert!(matches!(parse("%RESPONSE_CODE:3%"), Err(FormatError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[%A-Z():?a-z0-9 é-]{0,24}") {
            let _ = parse(&text);
        }

        #[test]
        fn text_without_percent_signs_stands_for_itself(text in "[^%]{0,24}") {
            let format = parse(&text).expect("parses");
            prop_assert_eq!(format.as_literal(), Some(text.as_str()));
        }
    }
}
