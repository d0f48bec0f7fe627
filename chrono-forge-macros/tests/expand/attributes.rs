#[workflow]
/// Documented.
#[cfg(feature = "billing")]
#[allow(clippy::similar_names)]
#[expect(unused_variables)]
#[deprecated(note = "use the other one")]
#[must_use = "start it"]
#[tracing::instrument(skip_all)]
#[cfg_attr(docsrs, doc(cfg(feature = "billing")))]
pub async fn attributes(s: State<Db>) -> Result<()> {
    Ok(())
}
