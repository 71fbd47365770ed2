//! What does each call of the API do to the files? Those calls are here that the pipeline, AWS's own tools and pyarrow
//! make; s3s answers all others with `NotImplemented`.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::StreamExt;
use gpu_stores::{Fault, Folder, Store as _, StoreError};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;

use crate::listing::{self, Entry, Wanted};
use crate::server::REGION;
use crate::upload::Upload;

/// The longest body that is taken at once: more comes in parts, as with AWS.
const MOST_BYTES: usize = 1 << 30;
/// What is read of a file at a time. Most images are shorter.
const BLOCK: u64 = 1 << 20;
/// Entries of a page.
const MOST_ENTRIES: i32 = 1000;
/// `507 Insufficient Storage`: AWS has no such trouble, and other servers have no other answer.
const FULL: u16 = 507;

/// Buckets below a folder.
pub(crate) struct Buckets {
    root: Arc<Path>,
}

impl Buckets {
    pub(crate) fn below(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Does something with the files of a bucket, on a thread that may wait for a disk.
    async fn within<T: Send + 'static>(
        &self,
        bucket: &str,
        work: impl FnOnce(&Folder, &Path) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let root = Arc::clone(&self.root);
        let path = self.path(bucket);
        let work = move || {
            if !path.is_dir() {
                return Err(s3_error!(NoSuchBucket));
            }
            work(&Folder::fleeting(path), &root)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| s3_error!(error, InternalError))?
    }

    fn path(&self, bucket: &str) -> PathBuf {
        self.root.join(bucket)
    }
}

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        match fs::create_dir(self.path(&request.input.bucket)) {
            Ok(()) => Ok(S3Response::new(CreateBucketOutput::default())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            Err(error) => Err(of_io(&error)),
        }
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.within(&request.input.bucket, |_, _| Ok(())).await?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(REGION.to_owned()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn list_buckets(
        &self,
        _request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let entries = fs::read_dir(&self.root).map_err(|error| of_io(&error))?.flatten();
        let names = entries.filter(|entry| entry.path().is_dir());
        let mut names = Vec::from_iter(names.filter_map(|entry| entry.file_name().into_string().ok()));
        names.retain(|name| s3s::path::check_bucket_name(name));
        names.sort();
        let bucket = |name| Bucket { name: Some(name), ..Bucket::default() };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(names.into_iter().map(bucket).collect()),
            ..ListBucketsOutput::default()
        }))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input.clone();
        let mut wanted: ListObjectsV2Input = input.clone().into();
        // What goes on in the first version is a key, and in the second one a word of the server's own.
        (wanted.start_after, wanted.continuation_token) = (input.marker.clone(), None);
        let url = wanted.encoding_type.is_some();
        let (output, next) = self.list(wanted).await?;
        Ok(S3Response::new(ListObjectsOutput {
            contents: output.contents,
            common_prefixes: output.common_prefixes,
            delimiter: output.delimiter,
            encoding_type: output.encoding_type,
            is_truncated: output.is_truncated,
            marker: input.marker,
            max_keys: output.max_keys,
            name: output.name,
            next_marker: next.map(|key| listing::escaped(&key, url)),
            prefix: output.prefix,
            ..ListObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        Ok(S3Response::new(self.list(request.input).await?.0))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let key = request.input.key;
        let about = move |folder: &Folder, _: &Path| {
            let (file, object) = folder.open(&key).map_err(|error| of_store(&error))?;
            Ok((object, changed(&file)))
        };
        let (object, changed) = self.within(&request.input.bucket, about).await?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: Some(as_i64(object.size)),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(changed),
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, .. } = request.input;
        let read = move |folder: &Folder, _: &Path| {
            let (mut file, object) = folder.open(&key).map_err(|error| of_store(&error))?;
            let part = match range {
                Some(range) => range.check(object.size)?,
                None => 0..object.size,
            };
            file.seek(SeekFrom::Start(part.start)).map_err(|error| of_io(&error))?;
            let length = part.end - part.start;
            let changed = changed(&file);
            let first = if length <= BLOCK {
                let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
                file.take(length).read_to_end(&mut bytes).map_err(|error| of_io(&error))?;
                Ok(bytes)
            } else {
                Err(file)
            };
            Ok((object, part, changed, first))
        };
        let (object, part, changed, content) = self.within(&bucket, read).await?;
        let length = part.end - part.start;
        let body = match content {
            Ok(bytes) => Body::from(bytes).into(),
            Err(file) => {
                let file = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), length);
                let block = usize::try_from(BLOCK).unwrap_or(usize::MAX);
                StreamingBlob::wrap(ReaderStream::with_capacity(file, block))
            }
        };
        let range = range.map(|_| format!("bytes {}-{}/{}", part.start, part.end - 1, object.size));
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            body: Some(body),
            content_length: Some(as_i64(length)),
            content_range: range,
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(changed),
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { bucket, key, body, if_none_match, content_length, .. } = request.input;
        let bytes = whole(body, content_length).await?;
        let write = move |folder: &Folder, _: &Path| {
            write(folder, &key, if_none_match.as_ref(), &mut |file| io::Write::write_all(file, &bytes))
        };
        let etag = self.within(&bucket, write).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(etag), ..PutObjectOutput::default() }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let key = request.input.key;
        self.within(&request.input.bucket, move |folder, _| {
            folder.remove(&key).map_err(|error| of_store(&error))
        })
        .await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let keys = Vec::from_iter(request.input.delete.objects.into_iter().map(|object| object.key));
        let remove = move |folder: &Folder, _: &Path| {
            keys.iter().try_for_each(|key| folder.remove(key)).map_err(|error| of_store(&error))?;
            Ok(keys)
        };
        let gone = self.within(&request.input.bucket, remove).await?;
        let gone = gone.into_iter().map(|key| DeletedObject { key: Some(key), ..DeletedObject::default() });
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(gone.collect()),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, .. } = request.input;
        let id = self.within(&bucket, |_, root| Upload::begin(root).map_err(|error| of_io(&error))).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let UploadPartInput { bucket, body, upload_id, part_number, content_length, .. } = request.input;
        let bytes = whole(body, content_length).await?;
        let etag = ETag::Strong(hex::encode(&Sha256::digest(&bytes)[..16]));
        let put = move |_: &Folder, root: &Path| {
            let upload = Upload::find(root, &upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
            upload.put(part_number, &bytes).map_err(|error| of_io(&error))
        };
        self.within(&bucket, put).await?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(etag), ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, if_none_match, .. } =
            request.input;
        let parts = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let numbers = Vec::from_iter(parts.iter().filter_map(|part| part.part_number));
        let name = key.clone();
        let complete = move |folder: &Folder, root: &Path| {
            let upload = Upload::find(root, &upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
            let there = !numbers.is_empty() && numbers.iter().all(|number| upload.has(*number));
            if !there || !numbers.is_sorted() {
                return Err(s3_error!(InvalidPart));
            }
            let etag = write(folder, &name, if_none_match.as_ref(), &mut |file| upload.join(&numbers, file))?;
            upload.end().map_err(|error| of_io(&error))?;
            Ok(etag)
        };
        let etag = self.within(&bucket, complete).await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(etag),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let id = request.input.upload_id;
        let abort = move |_: &Folder, root: &Path| {
            Upload::find(root, &id)
                .ok_or_else(|| s3_error!(NoSuchUpload))?
                .end()
                .map_err(|error| of_io(&error))
        };
        self.within(&request.input.bucket, abort).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

impl Buckets {
    /// A page, and the key that the next one comes after.
    async fn list(&self, input: ListObjectsV2Input) -> S3Result<(ListObjectsV2Output, Option<String>)> {
        let url = input.encoding_type.is_some();
        let most = input.max_keys.unwrap_or(MOST_ENTRIES).clamp(0, MOST_ENTRIES);
        let after = match &input.continuation_token {
            Some(token) => hex::decode(token).ok().and_then(|key| String::from_utf8(key).ok()),
            None => Some(input.start_after.clone().unwrap_or_default()),
        };
        let after = after.ok_or_else(|| s3_error!(InvalidArgument, "no such continuation token"))?;
        let (prefix, delimiter) = (input.prefix.clone().unwrap_or_default(), input.delimiter.clone());
        let find = move |folder: &Folder, _: &Path| {
            let delimiter = delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
            let most = usize::try_from(most).unwrap_or(0);
            let wanted = Wanted { prefix: &prefix, delimiter, after: &after, most };
            listing::page(folder, &wanted).map_err(|error| of_store(&error))
        };
        let page = self.within(&input.bucket, find).await?;
        let next = page.more.then(|| page.last().map(str::to_owned)).flatten();
        let count = i32::try_from(page.entries.len()).unwrap_or(MOST_ENTRIES);
        let (mut contents, mut shared) = (Vec::new(), Vec::new());
        for entry in page.entries {
            match entry {
                Entry::Object(object, changed) => contents.push(Object {
                    key: Some(listing::escaped(&object.key, url)),
                    size: Some(as_i64(object.size)),
                    e_tag: Some(ETag::Strong(object.etag)),
                    last_modified: Some(changed.into()),
                    ..Object::default()
                }),
                Entry::Shared(prefix) => {
                    shared.push(CommonPrefix { prefix: Some(listing::escaped(&prefix, url)) });
                }
            }
        }
        let escaped = |text: Option<String>| text.map(|text| listing::escaped(&text, url));
        let output = ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: escaped(input.prefix),
            delimiter: escaped(input.delimiter),
            start_after: escaped(input.start_after),
            max_keys: Some(most),
            key_count: Some(count),
            is_truncated: Some(next.is_some()),
            continuation_token: input.continuation_token,
            next_continuation_token: next.as_ref().map(hex::encode),
            encoding_type: input.encoding_type,
            contents: Some(contents),
            common_prefixes: Some(shared),
            ..ListObjectsV2Output::default()
        };
        Ok((output, next))
    }
}

/// The whole body of a request, of which no more than [`MOST_BYTES`] are kept.
async fn whole(body: Option<StreamingBlob>, length: Option<i64>) -> S3Result<Vec<u8>> {
    let Some(mut body) = body else { return Ok(Vec::new()) };
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if length > MOST_BYTES {
        return Err(s3_error!(EntityTooLarge));
    }
    let mut bytes = Vec::with_capacity(length);
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
        if bytes.len() + part.len() > MOST_BYTES {
            return Err(s3_error!(EntityTooLarge));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn write(
    folder: &Folder,
    key: &str,
    unless: Option<&ETagCondition>,
    fill: &mut dyn FnMut(&mut fs::File) -> io::Result<()>,
) -> S3Result<ETag> {
    match unless {
        Some(ETagCondition::Any) => folder.create_with(key, fill),
        _ => folder.put_with(key, fill),
    }
    .map_err(|error| of_store(&error))?;
    let (_, object) = folder.open(key).map_err(|error| of_store(&error))?;
    Ok(ETag::Strong(object.etag))
}

fn changed(file: &fs::File) -> Timestamp {
    let changed = file.metadata().and_then(|about| about.modified());
    changed.unwrap_or(SystemTime::UNIX_EPOCH).into()
}

fn of_store(error: &StoreError) -> S3Error {
    match &error.fault {
        Fault::Missing | Fault::NoFile(_) => s3_error!(NoSuchKey),
        Fault::Exists => s3_error!(PreconditionFailed),
        Fault::Denied(why) => s3_error!(AccessDenied, "{why}"),
        Fault::Full => full(),
        Fault::Key(_) => s3_error!(InvalidArgument, "{error}"),
        _ => s3_error!(InternalError, "{error}"),
    }
}

fn of_io(error: &io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(),
        _ => s3_error!(InternalError, "{error}"),
    }
}

fn full() -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom("StorageFull".into()), "no space is left");
    error.set_status_code(hyper::StatusCode::from_u16(FULL).unwrap_or_default());
    error
}

fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
