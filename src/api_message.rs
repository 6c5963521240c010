//! What a person needs of a failed request to the API server.

/// The API server's own words, without the answer's other fields and the final period; of a request without an answer, the error with
/// its causes: which address, and what happened there.
pub fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.trim_end_matches('.').to_owned(),
        other => alibaba_cloud::chain(other),
    }
}
