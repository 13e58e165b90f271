//! Who a certificate is for: its subject, in the text form of RFC 2253. It reads just as much of a certificate as that
//! needs; whether the certificate can be trusted was found out before, by the handshake.

/// What a client's certificate says of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The subject, the most specific part first, as in `CN=worker,OU=jobs,O=example`.
    pub subject: String,
    /// The last of its common names, if there is one.
    pub common_name: Option<String>,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The version field of a certificate, which the first version does without.
const VERSION: u8 = 0xa0;

const COMMON_NAME: &str = "2.5.4.3";

/// The parts of names that RFC 2253 has letters for; others stand as numbers.
const KEYWORDS: [(&str, &str); 9] = [
    (COMMON_NAME, "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

impl Peer {
    /// The subject of a certificate in DER. `None` if the bytes are no certificate.
    #[must_use]
    pub fn read(certificate: &[u8]) -> Option<Peer> {
        let (whole, _) = expect(certificate, SEQUENCE)?;
        let (mut fields, _) = expect(whole, SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            fields = element(fields)?.rest;
        }
        // Serial number, algorithm, issuer, validity; then the subject.
        for _ in 0..4 {
            fields = element(fields)?.rest;
        }
        let (mut names, _) = expect(fields, SEQUENCE)?;
        let (mut parts, mut common_name) = (Vec::new(), None);
        while !names.is_empty() {
            let (mut set, rest) = expect(names, SET)?;
            let mut attributes = Vec::new();
            while !set.is_empty() {
                let (attribute, after) = expect(set, SEQUENCE)?;
                let (identifier, text, value) = read_attribute(attribute)?;
                if identifier == COMMON_NAME {
                    common_name.clone_from(&text);
                }
                attributes.push(shown(&identifier, text.as_deref(), value));
                set = after;
            }
            parts.push(attributes.join("+"));
            names = rest;
        }
        parts.reverse();
        Some(Peer { subject: parts.join(","), common_name })
    }
}

/// A type and its value: as text if it is of a kind of text, and as it stands.
fn read_attribute(attribute: &[u8]) -> Option<(String, Option<String>, &[u8])> {
    let (identifier, value) = expect(attribute, OBJECT_IDENTIFIER)?;
    Some((dotted(identifier)?, text(&element(value)?), value))
}

fn shown(identifier: &str, text: Option<&str>, value: &[u8]) -> String {
    let keyword = KEYWORDS.iter().find(|(number, _)| *number == identifier).map(|(_, keyword)| *keyword);
    match (keyword, text) {
        (Some(keyword), Some(text)) => format!("{keyword}={}", escaped(text)),
        (keyword, _) => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}=#{hex}", keyword.unwrap_or(identifier))
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (position, character) in text.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (character == '#' && position == 0)
            || (character == ' ' && (position == 0 || position == last));
        if special {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// One element of DER.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        0..=0x7f => (usize::from(first), bytes),
        // A certificate of more than 2^24 bytes is none.
        0x81..=0x83 => {
            let (digits, bytes) = bytes.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), bytes)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

/// The content of the element at the front, if it is of this kind, and what follows it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let element = element(bytes)?;
    (element.tag == tag).then_some((element.content, element.rest))
}

fn text(element: &Element<'_>) -> Option<String> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const TELETEX: u8 = 0x14;
    const IA5: u8 = 0x16;
    const BMP: u8 = 0x1e;
    match element.tag {
        UTF8 => String::from_utf8(element.content.to_vec()).ok(),
        PRINTABLE | IA5 | TELETEX => Some(element.content.iter().copied().map(char::from).collect()),
        BMP => {
            let units =
                element.content.chunks(2).map(|pair| pair.iter().fold(0, |unit, &byte| unit << 8 | u16::from(byte)));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

fn dotted(identifier: &[u8]) -> Option<String> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for &byte in identifier {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    // The first two numbers share one.
    let (&first, rest) = numbers.split_first()?;
    let root = (first / 40).min(2);
    let head = [root, first - 40 * root];
    let numbers: Vec<String> = head.iter().chain(rest).map(u64::to_string).collect();
    Some(numbers.join("."))
}
