//! Reads the content of a record again: what it is must follow from it alone.

use stella_model::{Limits, RecordId};

use crate::draft::Draft;
use crate::format::Format;
use crate::formats::findings;
use crate::recognise::{Recognised, recognise};
use crate::rejection::{RejectReason, Rejection};

/// Reads the content of a record as it is stored and carried: the same draft that
/// [`recognise`] made of the received document, which is verbatim now.
///
/// `id` is the one that the record has. Of a finding, which may have shared its id with others of
/// its report, it chooses between the ids that the content allows; of everything else it does not
/// matter. Whoever does not trust the content holds kind, id and digest of the draft against what
/// was claimed.
///
/// # Errors
/// A [`Rejection`] if the content is not one record of this format in canonical form.
pub fn reread(
    format: Format,
    id: &RecordId,
    content: &[u8],
    limits: &Limits,
) -> Result<Draft, Rejection> {
    let draft = match format {
        Format::TrivyFinding | Format::GrypeFinding => {
            findings::reread(format, id, content, limits)?
        }
        _ => match recognise("", content, limits)? {
            Recognised::Records(drafts) => match <[Draft; 1]>::try_from(drafts) {
                Ok([draft]) => draft,
                Err(_) => return Err(Rejection::unknown("it is not one record")),
            },
            Recognised::Companion | Recognised::Ignored => {
                return Err(Rejection::unknown("it is no record"));
            }
        },
    };
    if draft.format != format {
        let detail = format!("it is {}, not {format}", draft.format);
        return Err(Rejection::unknown(detail));
    }
    if !draft.verbatim {
        return Err(Rejection::new(RejectReason::InvalidJson, "it is not in canonical form"));
    }
    Ok(draft)
}
