select view_name, source_md5 from herald.view_source
