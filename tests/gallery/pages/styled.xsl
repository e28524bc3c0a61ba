<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:template match="/"><html><head><title>Styled</title></head><body><xsl:for-each select="notes/note"><p>note: <xsl:value-of select="."/></p></xsl:for-each></body></html></xsl:template>
</xsl:stylesheet>
