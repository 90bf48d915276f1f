"""Faults of objects that a fetch lets through; pure."""

# Old repositories have such faults, and none of them lets two readers see different files.
HARMLESS = (
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingAuthor",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
    "badParentSha1",
    "missingCommitter",
    "badTagName",
    "missingTaggerEntry",
    "gitmodulesUrl",
    "gitmodulesPath",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesUpdate",
    "gitmodulesBlob",
    "gitmodulesLarge",
)
