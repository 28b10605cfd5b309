//! Uploads in pieces that nobody will end: those of processes that were killed.
//!
//! They are no objects, and a bucket keeps their pieces for ever. S3 tells of them by a request of its
//! own, `ListMultipartUploads`.

use std::time::{Duration, SystemTime};

use http::{Method, Request, StatusCode};
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpRequestBody};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{Error, MultipartId};
use quick_xml::Reader;
use quick_xml::events::Event;
use stella_model::Instant;

/// How long a signed request is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// Uploads of one answer; S3 gives no more.
const PAGE: &str = "1000";

/// Answers that are asked for at most: what is left is found by the next collection.
const MOST_PAGES: usize = 100;

/// Where uploads are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    s3: AmazonS3,
    client: HttpClient,
}

/// An upload that was begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    path: String,
    id: MultipartId,
    /// When it was begun, by the clock of the bucket.
    pub(crate) begun: SystemTime,
}

/// A page of them, and where the next one begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    uploads: Vec<Unfinished>,
    next: Option<(String, String)>,
}

impl Uploads {
    pub(crate) fn new(s3: AmazonS3, client: HttpClient) -> Uploads {
        Uploads { s3, client }
    }

    /// Those whose objects would be below a path; none where the server does not tell.
    pub(crate) async fn list(&self, below: &Path) -> Result<Vec<Unfinished>, Error> {
        let (mut all, mut after) = (Vec::new(), None::<(String, String)>);
        for _ in 0..MOST_PAGES {
            let Some(text) = self.page(below, after.as_ref()).await? else { break };
            let page = read(&text).map_err(failed)?;
            // A server that tells of more than it was asked for tells of what is others'.
            let prefix = format!("{below}/");
            all.extend(page.uploads.into_iter().filter(|one| one.path.starts_with(&prefix)));
            match page.next {
                // A server that tells the same again tells nothing more.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => break,
            }
        }
        Ok(all)
    }

    async fn page(
        &self,
        below: &Path,
        after: Option<&(String, String)>,
    ) -> Result<Option<String>, Error> {
        let prefix = format!("{below}/");
        let mut query = vec![("uploads", ""), ("prefix", &prefix), ("max-uploads", PAGE)];
        if let Some((key, id)) = after {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
        }
        let asked = SignedUrlOptions::new().with_query(query);
        let root = Path::default();
        let url = self.s3.signed_url_opts(Method::GET, &root, GOOD_FOR, &asked).await?;
        let request = Request::get(url.as_str()).body(HttpRequestBody::empty()).map_err(failed)?;
        let answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        match status {
            StatusCode::OK => {}
            // It does not know the request, or does not answer it to us: the bucket has a rule of its own.
            StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => return Ok(None),
            other => return Err(failed(format!("the server answers {other}"))),
        }
        let bytes = answer.into_body().bytes().await.map_err(failed)?;
        Ok(Some(String::from_utf8(bytes.to_vec()).map_err(failed)?))
    }

    /// Throws the pieces away; one that was ended meanwhile is no matter.
    pub(crate) async fn abort(&self, upload: &Unfinished) -> Result<(), Error> {
        let path = Path::parse(&upload.path).map_err(failed)?;
        match self.s3.abort_multipart(&path, &upload.id).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: error.into() }
}

/// Reads an answer.
fn read(text: &str) -> Result<Page, String> {
    let mut reader = Reader::from_str(text);
    let (mut page, mut names, mut value) = (Page::default(), Vec::<String>::new(), String::new());
    let (mut path, mut id, mut begun) = (String::new(), String::new(), None);
    let (mut is_truncated, mut next) = (false, (String::new(), String::new()));
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                names.push(start.local_name().into_inner().to_owned());
                value.clear();
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(c) => value.push(c),
                    None => value.push_str(entity(&reference.xml10_content())?),
                }
            }
            Event::End(_) => {
                let name = names.pop().unwrap_or_default();
                let is_of_upload = names.last().is_some_and(|outer| outer == "Upload");
                let told = std::mem::take(&mut value);
                match (is_of_upload, name.as_str()) {
                    (true, "Key") => path = told,
                    (true, "UploadId") => id = told,
                    (true, "Initiated") => begun = Some(time(&told)?),
                    (_, "Upload") => page.uploads.push(Unfinished {
                        path: std::mem::take(&mut path),
                        id: std::mem::take(&mut id),
                        begun: begun.take().ok_or("an upload has no time")?,
                    }),
                    (false, "IsTruncated") => is_truncated = told == "true",
                    (false, "NextKeyMarker") => next.0 = told,
                    (false, "NextUploadIdMarker") => next.1 = told,
                    _ => {}
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    page.next = is_truncated.then_some(next);
    Ok(page)
}

fn entity(name: &str) -> Result<&'static str, String> {
    let found = quick_xml::escape::resolve_predefined_entity(name);
    found.ok_or_else(|| format!("unknown entity {name}"))
}

fn time(text: &str) -> Result<SystemTime, String> {
    let time = Instant::parse(text).map_err(|error| error.to_string())?;
    let since = u64::try_from(time.unix_seconds()).map_err(|_| format!("{text} is long ago"))?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_uploads_and_where_the_next_begins() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Bucket>evidence</Bucket><KeyMarker></KeyMarker>
              <NextKeyMarker>exports/acme/blobs/ab/abcd</NextKeyMarker>
              <NextUploadIdMarker>two&amp;2</NextUploadIdMarker><IsTruncated>true</IsTruncated>
              <Upload><Key>exports/acme/blobs/ab/abcd</Key><UploadId>one</UploadId>
                <Initiator><ID>me</ID></Initiator>
                <Initiated>2026-11-27T10:00:00.250Z</Initiated></Upload>
            </ListMultipartUploadsResult>"#;
        let page = read(text).expect("reads");
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_773_600);
        let path = "exports/acme/blobs/ab/abcd".to_owned();
        let upload = Unfinished { path: path.clone(), id: "one".to_owned(), begun };
        assert_eq!(page.uploads, [upload]);
        assert_eq!(page.next, Some((path, "two&2".to_owned())));
        let none = read("<ListMultipartUploadsResult/>").expect("reads");
        assert_eq!(none, Page::default());
        for bad in ["<a><Upload></Upload></a>", "<a><Upload><Initiated>x</Initiated></Upload></a>"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
