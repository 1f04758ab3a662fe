"""The place of backups: objects by key in a folder (file://) or an S3 bucket (s3://)."""
