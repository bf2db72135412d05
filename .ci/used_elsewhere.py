"""Names that vulture finds no use of, and what uses them.

    vulture                                         goes through all there is
    vulture aitoearn_async .ci/used_elsewhere.py    counts as unused what tests alone use

Delete what nothing uses; name here only what is used from outside.
"""

# Users call these, and nothing here does.
_.add_log  # of the emulator
_.aitoearn_client  # a fixture of the pytest plugin
_.clear_faults  # of the emulator, as are the next ones
_.crash
_.list_images
_.set_media
_.set_status
_.spoil_row
_.stop_sweep_at
_.to_dict
_.urls
_.wait_all

# Users read these.
_.description
_.exhausted  # of a batch's statistics, as is the next one
_.pending
_.expected_end
_.group_id
_.logo
_.main_tag
_.media_id
_.revised_prompt
_.unresolved

# msgspec and the command line fill these, and go through all fields.
_.response_format
_.seed
_.tools
_.watermark

# Tests go by these.
_.are_idle  # nothing is left of turns
_.voice  # a field of a request that is only there to be sent
_.handed_over  # a row of the report of a storm

# Other packages read these: PyAV, nox, uvicorn, pytest, configparser, shlex.
_.error_on_missing_interpreters
_.gop_size
_.layout
_.longrepr
_.needs_version
_.optionxform
_.pix_fmt
_.pts
_.reuse_venv
_.sample_rate
_.should_exit
_.time_base
_.whitespace_split

# http.server reads and calls these.
_.block_on_close
_.client_address
_.close_connection
_.daemon_threads
_.disable_nagle_algorithm
_.do_GET
_.do_POST
_.handle_error
_.log_message
_.protocol_version
