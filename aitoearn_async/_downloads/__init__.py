"""FILES: one address in, one whole file out.

    downloader      the downloads of a client: a few at a time
    task_download   a task's files: which to try again, and when (retry_policy, stall_timer)
    transfer        the attempts at one file: from the wire to the disk, and judged when it is there
                    (checksum)
    media_client    one request to a media host (media_urls, network_guard, allowed_networks)
    media_stream    the file, or the rest of one, in the answer
    part_file       the file on the disk, hidden until it is whole
    filenames       where files go, and what they are called
    transfer_error  why a file did not come, and whether another attempt may bring it

Nothing in this room holds the key, or imports the room that does. It has never heard of
polling: to get a task's newest addresses it is handed a function that asks.
"""
