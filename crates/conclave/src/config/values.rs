//! The kinds of value that a key can have: how each is read, shown and bounded. Knows no key and no file.

use std::collections::BTreeSet;
use std::time::Duration;

/// Where a value lives in the structure `T`, and what it may be. One definition serves reading, checking and help.
pub(crate) enum Kind<T> {
    /// Free text, not empty.
    Text(fn(&mut T) -> &mut String),
    /// A folder, relative to the folder of the file that names it.
    Folder(fn(&mut T) -> &mut String),
    /// `host:port`.
    Address(fn(&mut T) -> &mut String),
    /// A span of time with its unit, within the range given (both ends included).
    Time(fn(&mut T) -> &mut Duration, Duration, Duration),
    /// The same, or nothing, for which the text stands in.
    OptionalTime(fn(&mut T) -> &mut Option<Duration>, Duration, Duration, &'static str),
    /// A number of bytes, plain or with a unit, within the range given (both ends included).
    Bytes(Number<T>, u64, u64),
    /// A plain number within the range given (both ends included).
    Count(Number<T>, u64, u64),
    /// Free text, or nothing.
    OptionalText(fn(&mut T) -> &mut Option<String>),
    /// Yes or no.
    Flag(fn(&mut T) -> &mut bool),
    /// A number of bytes as above, or nothing, for which the text stands in.
    OptionalBytes(fn(&mut T) -> &mut Option<usize>, u64, u64, &'static str),
    /// Some of these words, separated by commas; `*` for all of them.
    Words(fn(&mut T) -> &mut BTreeSet<String>, &'static [&'static str]),
}

/// The field that holds a number, by its width.
pub(crate) enum Number<T> {
    /// A field of 64 bits.
    Wide(fn(&mut T) -> &mut u64),
    /// A field of the machine's word.
    Word(fn(&mut T) -> &mut usize),
    /// A field of 32 bits.
    Half(fn(&mut T) -> &mut u32),
    /// A field of 8 bits.
    Byte(fn(&mut T) -> &mut u8),
    /// A field of 64 bits with a sign.
    Signed(fn(&mut T) -> &mut i64),
}

impl<T> Number<T> {
    fn set(&self, target: &mut T, value: u64) -> Result<(), String> {
        let too_large = |_| "is larger than this machine can count".to_owned();
        match self {
            Number::Wide(field) => *field(target) = value,
            Number::Word(field) => *field(target) = usize::try_from(value).map_err(too_large)?,
            Number::Half(field) => *field(target) = u32::try_from(value).map_err(too_large)?,
            Number::Byte(field) => *field(target) = u8::try_from(value).map_err(too_large)?,
            Number::Signed(field) => *field(target) = i64::try_from(value).map_err(too_large)?,
        }
        Ok(())
    }

    fn get(&self, target: &mut T) -> u64 {
        match self {
            Number::Wide(field) => *field(target),
            Number::Word(field) => *field(target) as u64,
            Number::Half(field) => u64::from(*field(target)),
            Number::Byte(field) => u64::from(*field(target)),
            Number::Signed(field) => u64::try_from(*field(target)).unwrap_or(0),
        }
    }
}

impl<T> Kind<T> {
    /// Reads `text` into the field. The error says what is wrong and what is allowed, without naming the key.
    pub(crate) fn read(&self, target: &mut T, text: &str) -> Result<(), String> {
        match self {
            Kind::Text(field) | Kind::Folder(field) => {
                check_text(text)?;
                text.clone_into(field(target));
            }
            Kind::Address(field) => {
                check_address(text)?;
                text.clone_into(field(target));
            }
            Kind::Time(field, least, most) => *field(target) = within(read_time(text)?, *least, *most, show_time)?,
            Kind::OptionalTime(field, least, most, _) => {
                *field(target) = Some(within(read_time(text)?, *least, *most, show_time)?);
            }
            Kind::OptionalBytes(field, least, most, _) => {
                let bytes = within(read_bytes(text)?, *least, *most, show_bytes)?;
                *field(target) = usize::try_from(bytes).ok();
            }
            Kind::Words(field, known) => *field(target) = read_words(text, known)?,
            Kind::OptionalText(field) => *field(target) = Some(text.to_owned()),
            Kind::Flag(field) => {
                *field(target) = text.trim().parse().map_err(|_| "is neither true nor false".to_owned())?;
            }
            Kind::Bytes(field, least, most) => {
                field.set(target, within(read_bytes(text)?, *least, *most, show_bytes)?)?;
            }
            Kind::Count(field, least, most) => {
                field.set(target, within(read_count(text)?, *least, *most, |n| n.to_string())?)?;
            }
        }
        Ok(())
    }

    /// The field's present value, in the form that `read` takes.
    pub(crate) fn show(&self, target: &mut T) -> String {
        match self {
            Kind::Text(field) | Kind::Folder(field) | Kind::Address(field) => field(target).clone(),
            Kind::Time(field, ..) => show_time(*field(target)),
            Kind::OptionalTime(field, _, _, without) => field(target).map_or_else(|| (*without).to_owned(), show_time),
            Kind::OptionalBytes(field, _, _, without) => {
                field(target).map_or_else(|| (*without).to_owned(), |bytes| show_bytes(bytes as u64))
            }
            Kind::Words(field, known) => {
                let words = field(target);
                let is_all = known.iter().all(|word| words.contains(*word));
                if is_all { "*".to_owned() } else { words.iter().cloned().collect::<Vec<_>>().join(",") }
            }
            Kind::OptionalText(field) => field(target).clone().unwrap_or_else(|| "none".to_owned()),
            Kind::Flag(field) => field(target).to_string(),
            Kind::Bytes(field, ..) => show_bytes(field.get(target)),
            Kind::Count(field, ..) => field.get(target).to_string(),
        }
    }

    /// What may stand here, for people.
    pub(crate) fn allowed(&self) -> String {
        match self {
            Kind::Text(_) => "text".to_owned(),
            Kind::Folder(_) => "a folder".to_owned(),
            Kind::Address(_) => "host:port".to_owned(),
            Kind::OptionalText(_) => "text".to_owned(),
            Kind::Flag(_) => "true or false".to_owned(),
            Kind::Time(_, least, most) | Kind::OptionalTime(_, least, most, _) => {
                format!("{} to {}", show_time(*least), show_time(*most))
            }
            Kind::Words(_, known) => format!("`*`, or some of {}", known.join(", ")),
            Kind::Bytes(_, least, most) | Kind::OptionalBytes(_, least, most, _) => {
                format!("{} to {}", show_bytes(*least), show_bytes(*most))
            }
            Kind::Count(_, least, most) => format!("{least} to {most}"),
        }
    }

    /// Whether a value of this kind is written between quotes in TOML.
    pub(crate) fn quoted(&self) -> bool {
        !matches!(self, Kind::Count(..) | Kind::Flag(_))
    }
}

fn read_words(text: &str, known: &[&str]) -> Result<BTreeSet<String>, String> {
    let wanted = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut words = BTreeSet::new();
    for word in wanted {
        match word {
            "*" => words.extend(known.iter().map(|&word| word.to_owned())),
            _ if known.contains(&word) => {
                words.insert(word.to_owned());
            }
            _ => return Err(format!("names {word:?}, which is none of {}", known.join(", "))),
        }
    }
    Ok(words)
}

fn within<V: PartialOrd + Copy>(value: V, least: V, most: V, show: fn(V) -> String) -> Result<V, String> {
    if value < least || value > most {
        return Err(format!("is out of range: allowed are {} to {}", show(least), show(most)));
    }
    Ok(value)
}

/// The longest text, in bytes: names are stored with the data and shown in one line.
const TEXT_MAX: usize = 255;

fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > TEXT_MAX {
        return Err(format!("has {} bytes: allowed are up to {TEXT_MAX}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character".to_owned());
    }
    Ok(())
}

fn check_address(text: &str) -> Result<(), String> {
    let (host, port) = text.rsplit_once(':').ok_or("is not an address: host:port is needed")?;
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("names no host: host:port is needed".to_owned());
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("is not an address: an IPv6 host stands between brackets, as in [::1]:2379".to_owned());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(()),
        _ => Err(format!("has the port {port:?}: allowed are 1 to 65535")),
    }
}

const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const BYTE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Splits "50ms" into its digits and its unit.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn scaled(text: &str, units: &[(&str, u64)], example: &str) -> Result<u64, String> {
    let (digits, unit) = split_unit(text);
    let malformed = || {
        let known: Vec<&str> = units.iter().rev().map(|(name, _)| *name).collect();
        format!(
            "is not understood: a whole number with one of the units {} is needed, as in {example:?}",
            known.join(", ")
        )
    };
    let number: u64 = digits.parse().map_err(|_| malformed())?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    number.checked_mul(*scale).ok_or_else(|| "is too large to count".to_owned())
}

fn read_time(text: &str) -> Result<Duration, String> {
    scaled(text, &TIME_UNITS, "50ms").map(Duration::from_millis)
}

fn read_bytes(text: &str) -> Result<u64, String> {
    match text.trim().parse() {
        Ok(plain) => Ok(plain),
        Err(_) => scaled(text, &BYTE_UNITS, "4MiB"),
    }
}

fn read_count(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| "is not understood: a whole number is needed".to_owned())
}

fn show_scaled(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().find(|(_, scale)| value >= *scale && value.is_multiple_of(*scale));
    let (unit, scale) = fitting.unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", value / scale)
}

fn show_time(value: Duration) -> String {
    show_scaled(u64::try_from(value.as_millis()).unwrap_or(u64::MAX), &TIME_UNITS)
}

fn show_bytes(value: u64) -> String {
    show_scaled(value, &BYTE_UNITS)
}
