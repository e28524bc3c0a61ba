"""What Lambda hands over of a render: publishes the PDF, ends the job or has it tried again, and announces the end."""
